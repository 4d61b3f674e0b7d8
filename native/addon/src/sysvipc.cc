// SPDX-License-Identifier: Apache-2.0
// System V IPC objects of an IPC namespace: /proc/sysvipc shows those of the process that opens it.
#include "sysvipc.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "arguments.h"
#include "descriptor.h"
#include "job.h"

namespace sealift {

namespace {

struct Objects {
  uint32_t shm;
  uint32_t sem;
  uint32_t msg;
};

/// One line each, after a line of headings.
uint32_t Count(const std::string& kind) {
  std::ifstream table("/proc/sysvipc/" + kind);
  std::string line;
  uint32_t lines = 0;
  if (!std::getline(table, line)) throw Failure::FromErrno(ENOENT, "read /proc/sysvipc/" + kind);
  while (std::getline(table, line)) lines++;
  return lines;
}

Objects CountIn(const std::string& path) {
  Descriptor ns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns.open()) throw Failure::FromErrno(errno, "open IPC namespace " + path);
  if (setns(ns.get(), CLONE_NEWIPC) < 0)
    throw Failure::FromErrno(errno, "enter IPC namespace " + path);
  return {Count("shm"), Count("sem"), Count("msg")};
}

Napi::Value Sysvipc(const Napi::CallbackInfo& info) {
  std::string path = PathArgument(info, 0, "path");
  return Promise<Objects>(
      info.Env(), "", [=] { return CountIn(path); },
      [](Napi::Env env, const Objects& found) {
        Napi::Object counts = Napi::Object::New(env);
        counts.Set("shm", found.shm);
        counts.Set("sem", found.sem);
        counts.Set("msg", found.msg);
        return counts;
      });
}

}  // namespace

void ExportSysvipc(Napi::Env env, Napi::Object exports) {
  exports.Set("sysvipc", Napi::Function::New<Sysvipc>(env));
}

}  // namespace sealift
