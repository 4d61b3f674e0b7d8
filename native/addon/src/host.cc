// SPDX-License-Identifier: Apache-2.0
// Kernel modules, durable directories, the kernel's release.
#include "host.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "arguments.h"
#include "descriptor.h"
#include "job.h"

namespace sealift {

namespace {

Napi::Value FinitModule(const Napi::CallbackInfo& info) {
  std::string path = PathArgument(info, 0, "path");
  std::string params = StringArgument(info, 1, "params");
  return PromiseDone(info.Env(), "", [=] {
    Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) throw Failure::FromErrno(errno, "open module " + path);
    if (syscall(SYS_finit_module, file.get(), params.c_str(), 0) < 0)
      throw Failure::FromErrno(errno, "load module " + path);
  });
}

Napi::Value DeleteModule(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 0, "name", 55);
  return PromiseDone(info.Env(), "", [=] {
    if (syscall(SYS_delete_module, name.c_str(), O_NONBLOCK) < 0)
      throw Failure::FromErrno(errno, "unload module " + name);
  });
}

Napi::Value FsyncDir(const Napi::CallbackInfo& info) {
  std::string path = PathArgument(info, 0, "path");
  return PromiseDone(info.Env(), "", [=] {
    Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.open()) throw Failure::FromErrno(errno, "open directory " + path);
    if (fsync(folder.get()) < 0) throw Failure::FromErrno(errno, "sync directory " + path);
  });
}

Napi::Value MakeCharDevice(const Napi::CallbackInfo& info) {
  std::string path = PathArgument(info, 0, "path");
  uint32_t major = NumberArgument(info, 1, "major", 4095);
  uint32_t minor = NumberArgument(info, 2, "minor", 1048575);
  return PromiseDone(info.Env(), "", [=] {
    static std::atomic<unsigned> made;
    dev_t number = makedev(major, minor);
    struct stat status;
    if (stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) &&
        status.st_rdev == number && (status.st_mode & 0777) == 0666)
      return;
    // Under a name of its own first: another call may make the same node, and containers see no half of it.
    std::string own = path + "." + std::to_string(getpid()) + "." + std::to_string(made++);
    (void)unlink(own.c_str());
    if (mknod(own.c_str(), S_IFCHR | 0600, number) < 0)
      throw Failure::FromErrno(errno, "make device node " + path);
    // As udev makes uverbs nodes; mknod() alone would obey the umask.
    if (chmod(own.c_str(), 0666) < 0 || rename(own.c_str(), path.c_str()) < 0) {
      int error = errno;
      (void)unlink(own.c_str());
      throw Failure::FromErrno(error, "open up " + path);
    }
  });
}

Napi::Value KernelRelease(const Napi::CallbackInfo& info) {
  utsname names{};
  uname(&names);
  return Napi::String::New(info.Env(), names.release);
}

}  // namespace

void ExportHost(Napi::Env env, Napi::Object exports) {
  exports.Set("finitModule", Napi::Function::New<FinitModule>(env));
  exports.Set("deleteModule", Napi::Function::New<DeleteModule>(env));
  exports.Set("fsyncDir", Napi::Function::New<FsyncDir>(env));
  exports.Set("makeCharDevice", Napi::Function::New<MakeCharDevice>(env));
  exports.Set("kernelRelease", Napi::Function::New<KernelRelease>(env));
}

}  // namespace sealift
