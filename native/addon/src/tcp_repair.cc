// SPDX-License-Identifier: Apache-2.0
// TCP sockets in repair mode (tcp(7); do_tcp_setsockopt in net/ipv4/tcp.c): CRIU puts a task's sockets into it while it
// dumps them, and one that is killed leaves them so. To the task each send is then an error.
#include "tcp_repair.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "arguments.h"
#include "job.h"
#include "task_files.h"

namespace sealift {

namespace {

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
  uint32_t ended = 0;
  EachSocket(pid, [&](uint32_t, int socket) {
    if (EndRepair(socket)) ended++;
  });
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
