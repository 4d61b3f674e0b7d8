// SPDX-License-Identifier: Apache-2.0
// Which context each event file of some processes is of, and how many events nobody has read (FIND_FD of
// native/rxe/uapi/sealift_rxe.h). Takes nothing that a process would have to wait for, or that could be refused to it
// meanwhile: the driver only looks a descriptor up.
#include "rxe_event_files.h"

#include <fcntl.h>
#include <sealift_rxe.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "descriptor.h"
#include "job.h"
#include "rxe.h"
#include "rxe_objects.h"
#include "task_files.h"
#include "uverbs.h"

namespace sealift {

namespace {

constexpr char kEventLink[] = "anon_inode:[infinibandevent]";

struct OpenContext {
  uint32_t number;
  pid_t pid;
  Descriptor file;
};

struct EventFile {
  pid_t pid;
  uint32_t fd;
  bool found;
  bool is_channel;
  uint32_t context;
  uint32_t unread;
};

bool IsEventFile(const std::string& path) {
  char link[64];
  ssize_t n = readlink(path.c_str(), link, sizeof(link));
  return n > 0 && std::string(link, n) == kEventLink;
}

std::vector<OpenContext> ContextsOf(const std::string& device, const std::vector<pid_t>& pids) {
  std::vector<OpenContext> contexts;
  for (pid_t pid : pids) {
    EachContext(device, pid, [&](uint32_t, int file, const sealift_rxe_context& context) {
      auto is_known = [&](const OpenContext& one) { return one.number == context.number; };
      if (std::any_of(contexts.begin(), contexts.end(), is_known)) return;
      Descriptor kept(fcntl(file, F_DUPFD_CLOEXEC, 0));
      if (!kept.open()) throw Failure::FromErrno(errno, "keep a context of " + device);
      contexts.push_back({context.number, pid, std::move(kept)});
    });
  }
  return contexts;
}

// Returns 0 or an errno.
int Find(int context, uint16_t attribute, int file, sealift_rxe_fd* answer) {
  return UverbsCall(SEALIFT_RXE_OBJECT, SEALIFT_RXE_METHOD_FIND_FD)
      .Value(attribute, static_cast<uint64_t>(file), 0)
      .Out(SEALIFT_RXE_ATTR_FIND_FD_OUT, answer, sizeof(*answer))
      .Run(context);
}

// Fills `file` if it is one of the context's.
bool IsOf(const OpenContext& context, int fd, EventFile* file, const std::string& device) {
  for (bool is_channel : {true, false}) {
    sealift_rxe_fd answer{};
    int error = Find(context.file.get(),
                     is_channel ? SEALIFT_RXE_ATTR_FIND_FD_COMP : SEALIFT_RXE_ATTR_FIND_FD_ASYNC,
                     fd, &answer);
    if (error == EBADF) continue;
    // Its device is being removed.
    if (error == EIO || error == ENODEV || error == EINVAL) return false;
    if (error) RxeRefused(error, "look an event file of " + device + " up");
    file->found = true;
    file->is_channel = is_channel;
    file->context = context.number;
    file->unread = answer.pending;
    return true;
  }
  return false;
}

std::vector<EventFile> EventFilesOf(const std::string& device, const std::vector<pid_t>& pids) {
  std::vector<OpenContext> contexts = ContextsOf(device, pids);
  std::vector<EventFile> files;
  for (pid_t pid : pids) {
    // Nearly always a process has opened both itself.
    std::stable_partition(contexts.begin(), contexts.end(),
                          [&](const OpenContext& one) { return one.pid == pid; });
    EachFile(pid, IsEventFile, [&](uint32_t fd, int file) {
      EventFile found{pid, fd, false, false, 0, 0};
      for (const OpenContext& context : contexts)
        if (IsOf(context, file, &found, device)) break;
      files.push_back(found);
    });
  }
  return files;
}

Napi::Object ToEventFile(Napi::Env env, const EventFile& from) {
  Napi::Object file = Napi::Object::New(env);
  file.Set("pid", from.pid);
  file.Set("fd", from.fd);
  if (!from.found) return file;
  file.Set("context", from.context);
  file.Set("kind", from.is_channel ? "channel" : "async");
  file.Set("unread", from.unread);
  return file;
}

Napi::Value RxeEventFiles(const Napi::CallbackInfo& info) {
  std::string device = NameArgument(info, 1, "device", kLongestRdmaName);
  std::vector<pid_t> pids;
  for (uint32_t pid : NumbersArgument(info, 2, "pids", INT32_MAX))
    pids.push_back(static_cast<pid_t>(pid));
  return Promise<std::vector<EventFile>>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return EventFilesOf(device, pids); },
      [](Napi::Env env, const std::vector<EventFile>& files) {
        return ToArray(env, files, ToEventFile);
      });
}

}  // namespace

void ExportRxeEventFiles(Napi::Env env, Napi::Object exports) {
  exports.Set("rxeEventFiles", Napi::Function::New<RxeEventFiles>(env));
}

}  // namespace sealift
