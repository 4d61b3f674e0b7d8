// SPDX-License-Identifier: Apache-2.0
// Whose the objects of an rxe device are: all of the device's (LIST of native/rxe/uapi/sealift_rxe.h), and which of its
// contexts a process has open (DUMP_CONTEXT on the process's descriptors).
#include "rxe_objects.h"

#include <sealift_rxe.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"
#include "rdma.h"
#include "rxe.h"
#include "task_files.h"
#include "uverbs.h"

namespace sealift {

namespace {

// IB_MR_TYPE_USER of the RDMA core's enum ib_mr_type, which no user header has.
constexpr uint32_t kUserMemory = 3;

using Object = sealift_rxe_device_object;

struct Context {
  uint32_t fd;
  uint32_t number;
  uint32_t events;
  std::vector<sealift_rxe_object> objects;
};

int List(int fd, std::vector<Object>* objects, sealift_rxe_list* answer) {
  sealift_rxe_buffer buffer{};
  buffer.address = objects->empty() ? 0 : reinterpret_cast<uintptr_t>(objects->data());
  buffer.size = static_cast<uint32_t>(objects->size() * sizeof(Object));
  return UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_LIST)
      .In(SEALIFT_RXE_ATTR_LIST_IN, &buffer, sizeof(buffer))
      .Out(SEALIFT_RXE_ATTR_LIST_OUT, answer, sizeof(*answer))
      .Run(fd);
}

// The contexts of this process are those of calls like this one, which last no longer than their call.
std::vector<Object> WithoutOwn(const std::vector<Object>& objects) {
  std::set<uint32_t> own;
  for (const Object& one : objects)
    if (one.kind == SEALIFT_RXE_KIND_CONTEXT && one.owner == static_cast<uint32_t>(getpid()))
      own.insert(one.number);
  std::vector<Object> others;
  std::copy_if(objects.begin(), objects.end(), std::back_inserter(others),
               [&](const Object& one) { return own.count(one.context) == 0; });
  return others;
}

std::vector<Object> ListObjects(const std::string& device) {
  UverbsContext context(device);
  QueryRxe(context, device);
  std::vector<Object> objects;
  sealift_rxe_list answer{};
  int error = List(context.fd(), &objects, &answer);
  // Processes may add objects between the count and the list.
  for (int tries = 0; tries < 5 && (!error || error == ENOSPC); tries++) {
    objects.assign(answer.count + 64, Object{});
    error = List(context.fd(), &objects, &answer);
    if (error) continue;
    objects.resize(answer.count);
    return WithoutOwn(objects);
  }
  RxeRefused(error, "list the objects of " + device);
}

// What LIST does not know of a context: kinds that the device has no pool of.
std::vector<sealift_rxe_object> ObjectsOf(int file, uint32_t count, const std::string& device) {
  std::vector<sealift_rxe_object> objects;
  int error = ENOSPC;
  for (int tries = 0; tries < 5 && error == ENOSPC; tries++) {
    objects.assign(count + 64, sealift_rxe_object{});
    sealift_rxe_buffer buffer{};
    buffer.address = reinterpret_cast<uintptr_t>(objects.data());
    buffer.size = static_cast<uint32_t>(objects.size() * sizeof(objects[0]));
    sealift_rxe_context context{};
    error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_CONTEXT)
                .In(SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN, &buffer, sizeof(buffer))
                .Out(SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, &context, sizeof(context))
                .Run(file);
    count = context.count;
  }
  if (error) RxeRefused(error, "list a context of " + device);
  objects.resize(count);
  return objects;
}

std::vector<Context> OpenContexts(const std::string& device, pid_t pid) {
  std::vector<Context> found;
  EachContext(device, pid, [&](uint32_t fd, int file, const sealift_rxe_context& context) {
    found.push_back({fd, context.number, context.async_pending,
                     ObjectsOf(file, context.count, device)});
  });
  return found;
}

const char* KindName(uint32_t kind) {
  static constexpr const char* kNames[] = {"context", "pd", "ah", "srq", "qp", "cq", "mr", "mw"};
  return kind < std::size(kNames) ? kNames[kind] : "other";
}

Napi::Object ToPeer(Napi::Env env, const Object& from) {
  Napi::Object peer = Napi::Object::New(env);
  peer.Set("rnrRetry", from.rnr_retry);
  peer.Set("retryCount", from.retry_cnt);
  peer.Set("timeout", from.timeout);
  peer.Set("isSilent", from.silent != 0);
  peer.Set("rnrTimer", from.rnr_timer);
  if (from.budget_ms != SEALIFT_RXE_NONE) peer.Set("budgetMs", from.budget_ms);
  return peer;
}

// The kernel registers a region for writing with these: IBV_ACCESS_LOCAL_WRITE, REMOTE_WRITE, REMOTE_ATOMIC, MW_BIND.
constexpr uint32_t kWrites = 0x1b;

Napi::Object ToMemory(Napi::Env env, const Object& from) {
  Napi::Object memory = Napi::Object::New(env);
  memory.Set("start", static_cast<double>(from.start));
  memory.Set("length", static_cast<double>(from.length));
  memory.Set("isWritable", (from.access & kWrites) != 0);
  if (from.flags & SEALIFT_RXE_OBJECT_REMAPPED) {
    uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    uint64_t at = from.start / page * page + from.remapped_page * page;
    memory.Set("remappedAt", static_cast<double>(at));
  }
  return memory;
}

Napi::Array ToRings(Napi::Env env, const Object& from) {
  Napi::Array rings = Napi::Array::New(env);
  for (uint32_t nth = 0; nth < SEALIFT_RXE_LIST_RINGS; nth++) {
    if (from.ring_size[nth] == 0) continue;
    Napi::Object ring = Napi::Object::New(env);
    ring.Set("offset", static_cast<double>(from.ring_offset[nth]));
    ring.Set("size", from.ring_size[nth]);
    rings[rings.Length()] = ring;
  }
  return rings;
}

Napi::Object ToObject(Napi::Env env, const Object& from) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("kind", KindName(from.kind));
  object.Set("number", from.number);
  if (from.handle != SEALIFT_RXE_NONE) object.Set("handle", from.handle);
  if (from.context != SEALIFT_RXE_NONE) object.Set("context", from.context);
  if (from.owner != 0) object.Set("owner", from.owner);
  if (from.kind == SEALIFT_RXE_KIND_QP) object.Set("type", QpTypeName(from.type));
  if (from.num_mcast != 0) object.Set("multicastGroups", from.num_mcast);
  if (from.has_peer != 0) object.Set("peer", ToPeer(env, from));
  if (from.flags & SEALIFT_RXE_OBJECT_NO_SOURCE) object.Set("sourceAddressLost", true);
  if (from.kind == SEALIFT_RXE_KIND_MR) object.Set("isUserMemory", from.type == kUserMemory);
  if (from.length != 0) object.Set("memory", ToMemory(env, from));
  if (from.flags & SEALIFT_RXE_OBJECT_HAS_SOURCE) object.Set("sourceIndex", from.sgid_index);
  if (from.async_pending != 0) object.Set("unreadEvents", from.async_pending);
  if (from.comp_pending != 0) object.Set("unreadCompletions", from.comp_pending);
  Napi::Array rings = ToRings(env, from);
  if (rings.Length() != 0) object.Set("rings", rings);
  return object;
}

bool IsListed(uint32_t type) {
  switch (type) {
    case UVERBS_OBJECT_PD:
    case UVERBS_OBJECT_CQ:
    case UVERBS_OBJECT_QP:
    case UVERBS_OBJECT_SRQ:
    case UVERBS_OBJECT_AH:
    case UVERBS_OBJECT_MR:
    case UVERBS_OBJECT_MW:
    case UVERBS_OBJECT_COMP_CHANNEL:
    case UVERBS_OBJECT_ASYNC_EVENT:
      return true;
    default:
      return false;
  }
}

Napi::Object ToContext(Napi::Env env, const Context& from) {
  auto count = [&](uint32_t type) {
    return static_cast<double>(std::count_if(
        from.objects.begin(), from.objects.end(),
        [&](const sealift_rxe_object& one) { return one.type == type; }));
  };
  std::vector<sealift_rxe_object> others;
  std::copy_if(from.objects.begin(), from.objects.end(), std::back_inserter(others),
               [](const sealift_rxe_object& one) { return !IsListed(one.type); });
  Napi::Object object = Napi::Object::New(env);
  object.Set("fd", from.fd);
  object.Set("context", from.number);
  object.Set("unreadEvents", from.events);
  object.Set("channels", count(UVERBS_OBJECT_COMP_CHANNEL));
  object.Set("asyncFiles", count(UVERBS_OBJECT_ASYNC_EVENT));
  object.Set("others", ToArray(env, others, [](Napi::Env in, const sealift_rxe_object& other) {
               Napi::Object result = Napi::Object::New(in);
               result.Set("type", other.type);
               result.Set("handle", other.handle);
               return result;
             }));
  return object;
}

Napi::Value RxeObjects(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  return Promise<std::vector<Object>>(
      info.Env(), PathArgument(info, 0, "netns"), [device] { return ListObjects(device); },
      [](Napi::Env env, const std::vector<Object>& objects) {
        return ToArray(env, objects, ToObject);
      });
}

Napi::Value RxeContexts(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 2, "pid", INT32_MAX));
  return Promise<std::vector<Context>>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return OpenContexts(device, pid); },
      [](Napi::Env env, const std::vector<Context>& contexts) {
        return ToArray(env, contexts, ToContext);
      });
}

}  // namespace

void EachContext(
    const std::string& device, pid_t pid,
    const std::function<void(uint32_t fd, int file, const sealift_rxe_context& context)>& visit) {
  Netlink nldev(NETLINK_RDMA);
  auto chardev = UverbsChardev(nldev, RequireRdmaDevice(nldev, device).index);
  if (!chardev) return;
  auto is_device = [&](const std::string& path) {
    struct stat status;
    return stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == chardev->number;
  };
  EachFile(pid, is_device, [&](uint32_t fd, int file) {
    sealift_rxe_buffer none{};
    sealift_rxe_context context{};
    int error = UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_DUMP_CONTEXT)
                    .In(SEALIFT_RXE_ATTR_DUMP_CONTEXT_IN, &none, sizeof(none))
                    .Out(SEALIFT_RXE_ATTR_DUMP_CONTEXT_OUT, &context, sizeof(context))
                    .Run(file);
    // Open, but without a context (yet), or its device is being removed.
    if (error == EINVAL || error == EIO || error == ENODEV) return;
    if (error) RxeRefused(error, "read a context of " + device);
    visit(fd, file, context);
  });
}

void ExportRxeObjects(Napi::Env env, Napi::Object exports) {
  exports.Set("rxeObjects", Napi::Function::New<RxeObjects>(env));
  exports.Set("rxeContexts", Napi::Function::New<RxeContexts>(env));
}

}  // namespace sealift
