// SPDX-License-Identifier: Apache-2.0
// TCP sockets in repair mode (tcp(7); do_tcp_setsockopt in net/ipv4/tcp.c): CRIU puts a task's sockets into it while it
// dumps them, and one that is killed leaves them so. To the task each send is then an error.
#include "tcp_repair.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

#include "arguments.h"
#include "descriptor.h"
#include "job.h"

namespace sealift {

namespace {

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

bool IsSocket(const std::string& path) {
  char link[64];
  ssize_t n = readlink(path.c_str(), link, sizeof(link));
  return n > 0 && std::string(link, n).rfind("socket:", 0) == 0;
}

/// False: it is no TCP socket, or not in repair mode.
bool EndRepair(int fd) {
  int mode = 0;
  socklen_t size = sizeof(mode);
  if (getsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &mode, &size) < 0 || mode != TCP_REPAIR_ON)
    return false;
  mode = TCP_REPAIR_OFF;
  if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &mode, sizeof(mode)) < 0)
    throw Failure::FromErrno(errno, "end the repair mode of a TCP socket");
  return true;
}

uint32_t EndRepairs(pid_t pid) {
  std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  Descriptor task(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  std::unique_ptr<DIR, CloseDir> dir(opendir(folder.c_str()));
  // A process that has ended needs nothing.
  if (!task.open() || !dir) {
    if (errno == ESRCH || errno == ENOENT) return 0;
    throw Failure::FromErrno(errno, "open task " + std::to_string(pid));
  }
  uint32_t ended = 0;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] == '.' || !IsSocket(folder + "/" + entry->d_name)) continue;
    Descriptor socket(
        static_cast<int>(syscall(SYS_pidfd_getfd, task.get(), std::stoi(entry->d_name), 0)));
    if (socket.open() && EndRepair(socket.get())) ended++;
  }
  return ended;
}

Napi::Value EndTcpRepair(const Napi::CallbackInfo& info) {
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 0, "pid", INT32_MAX));
  return Promise<uint32_t>(
      info.Env(), "", [=] { return EndRepairs(pid); },
      [](Napi::Env env, uint32_t ended) { return Napi::Number::New(env, ended); });
}

}  // namespace

void ExportTcpRepair(Napi::Env env, Napi::Object exports) {
  exports.Set("endTcpRepair", Napi::Function::New<EndTcpRepair>(env));
}

}  // namespace sealift
