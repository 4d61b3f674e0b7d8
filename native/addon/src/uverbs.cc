// SPDX-License-Identifier: Apache-2.0
#include "uverbs.h"

#include <fcntl.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "failure.h"

namespace sealift {

UverbsCall::UverbsCall(uint16_t object, uint16_t method) : object_(object), method_(method) {}

ib_uverbs_attr& UverbsCall::Add(uint16_t attribute, uint16_t length) {
  ib_uverbs_attr added{};
  added.attr_id = attribute;
  added.len = length;
  added.flags = UVERBS_ATTR_F_MANDATORY;
  attributes_.push_back(added);
  return attributes_.back();
}

UverbsCall& UverbsCall::In(uint16_t attribute, const void* data, uint16_t length) {
  // The kernel reads up to eight bytes from the attribute, more through a pointer.
  ib_uverbs_attr& added = Add(attribute, length);
  if (length <= sizeof(added.data))
    memcpy(&added.data, data, length);
  else
    added.data = reinterpret_cast<uintptr_t>(data);
  return *this;
}

UverbsCall& UverbsCall::Out(uint16_t attribute, void* data, uint16_t length) {
  Add(attribute, length).data = reinterpret_cast<uintptr_t>(data);
  return *this;
}

UverbsCall& UverbsCall::Value(uint16_t attribute, uint64_t value, uint16_t length) {
  Add(attribute, length).data = value;
  return *this;
}

int UverbsCall::Run(int fd) {
  size_t length = sizeof(ib_uverbs_ioctl_hdr) + attributes_.size() * sizeof(ib_uverbs_attr);
  std::vector<uint64_t> buffer((length + 7) / 8);
  auto* header = reinterpret_cast<ib_uverbs_ioctl_hdr*>(buffer.data());
  header->length = static_cast<uint16_t>(length);
  header->object_id = object_;
  header->method_id = method_;
  header->num_attrs = static_cast<uint16_t>(attributes_.size());
  header->driver_id = RDMA_DRIVER_RXE;
  memcpy(header + 1, attributes_.data(), attributes_.size() * sizeof(ib_uverbs_attr));
  for (;;) {
    if (ioctl(fd, RDMA_VERBS_IOCTL, header) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

namespace {

Descriptor OpenNumber(const char* path, dev_t number) {
  Descriptor fd(open(path, O_RDWR | O_CLOEXEC));
  if (!fd.open()) return fd;
  struct stat status;
  if (fstat(fd.get(), &status) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == number)
    return fd;
  return Descriptor();
}

// The host's node of that name, if it is that device; else a node of our own, for as long as it takes
// to open it: a container's /dev may lack devices that came after it did.
Descriptor OpenUverbs(const Chardev& device) {
  std::string path = "/dev/infiniband/" + device.name;
  Descriptor fd = OpenNumber(path.c_str(), device.number);
  if (fd.open()) return fd;

  static std::atomic<unsigned> counter{0};
  int last = ENOENT;
  for (const char* folder : {"/dev", "/run", "/tmp"}) {
    path = std::string(folder) + "/.sealift-uverbs-" + std::to_string(getpid()) + "-" +
           std::to_string(counter++);
    if (mknod(path.c_str(), S_IFCHR | 0600, device.number) < 0) {
      last = errno;
      continue;
    }
    fd = Descriptor(open(path.c_str(), O_RDWR | O_CLOEXEC));
    last = errno;
    unlink(path.c_str());
    if (fd.open()) return fd;
  }
  throw Failure::FromErrno(last, "open uverbs device " + device.name);
}

}  // namespace

UverbsContext::UverbsContext(const std::string& name) {
  Netlink nldev(NETLINK_RDMA);
  RdmaDevice device = RequireRdmaDevice(nldev, name);
  auto chardev = UverbsChardev(nldev, device.index);
  if (!chardev)
    throw Failure("NoSuchDevice", "RDMA device " + name + " has no uverbs device: load ib_uverbs");
  fd_ = OpenUverbs(*chardev);

  uint32_t vectors = 0;
  uint64_t support = 0;
  int error = UverbsCall(UVERBS_OBJECT_DEVICE, UVERBS_METHOD_GET_CONTEXT)
                  .Out(UVERBS_ATTR_GET_CONTEXT_NUM_COMP_VECTORS, &vectors, sizeof(vectors))
                  .Out(UVERBS_ATTR_GET_CONTEXT_CORE_SUPPORT, &support, sizeof(support))
                  .Run(fd_.get());
  if (error) throw Failure::FromErrno(error, "get verbs context of " + name);
}

}  // namespace sealift
