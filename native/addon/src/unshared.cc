// SPDX-License-Identifier: Apache-2.0
// What threads have that a restore would change without a word, or that CRIU refuses in the middle of a dump. kcmp(2) and
// /proc/PID/task tell it from outside; native/criu-plugin/unshared.c asks the same in the dump.
#include "unshared.h"

#include <dirent.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "array.h"
#include "job.h"

namespace sealift {

namespace {

struct Found {
  uint32_t tid;
  std::string what;
  uint32_t tracer;
};

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

/// Whether they have two of what they could share; no for a thread that has ended.
bool Differs(pid_t one, pid_t other, int type) {
  long order = syscall(SYS_kcmp, one, other, type, 0, 0);
  if (order >= 0) return order != 0;
  if (errno == ESRCH) return false;
  throw Failure::FromErrno(errno, "compare threads " + std::to_string(one) + " and " + std::to_string(other));
}

/// Empty where there is none.
std::string Namespace(const std::string& task, const char* name) {
  char link[64];
  ssize_t n = readlink((task + "/ns/" + name).c_str(), link, sizeof(link));
  return std::string(link, n > 0 ? n : 0);
}

struct Status {
  bool ended = true;
  uint32_t tracer = 0;
};

Status StatusOf(const std::string& task) {
  std::ifstream file(task + "/status");
  Status status;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("State:\t", 0) == 0) status.ended = line[7] == 'Z' || line[7] == 'X';
    if (line.rfind("TracerPid:\t", 0) == 0) status.tracer = std::stoul(line.substr(11));
  }
  return status;
}

class Search {
 public:
  explicit Search(pid_t pid)
      : pid_(pid), process_("/proc/" + std::to_string(pid)), first_(StatusOf(process_)) {
    for (const char* name : kOfThread) namespaces_.push_back(Namespace(process_, name));
  }

  /// One of each kind.
  std::vector<Found> All() {
    std::unique_ptr<DIR, CloseDir> dir(opendir((process_ + "/task").c_str()));
    while (const dirent* entry = dir ? readdir(dir.get()) : nullptr)
      if (entry->d_name[0] != '.') Look(static_cast<pid_t>(std::stol(entry->d_name)));
    return std::move(found_);
  }

 private:
  void Add(pid_t tid, const char* what, uint32_t tracer = 0) {
    for (const Found& one : found_)
      if (one.what == what) return;
    found_.push_back({static_cast<uint32_t>(tid), what, tracer});
  }

  void Look(pid_t tid) {
    std::string task = process_ + "/task/" + std::to_string(tid);
    Status status = StatusOf(task);
    if (status.ended) return;
    if (status.tracer) Add(tid, "tracer", status.tracer);
    LookAtChildren(tid, task);
    if (tid == pid_) return;
    if (first_.ended) {
      Add(pid_, "first");
      return;
    }
    if (Differs(tid, pid_, KCMP_FILES)) Add(tid, "files");
    if (Differs(tid, pid_, KCMP_FS)) Add(tid, "directory");
    LookAtNamespaces(tid, task);
  }

  void LookAtNamespaces(pid_t tid, const std::string& task) {
    for (size_t at = 0; at < namespaces_.size(); at++) {
      std::string own = Namespace(task, kOfThread[at]);
      // Empty for a thread or process that is ending.
      if (!own.empty() && !namespaces_[at].empty() && own != namespaces_[at]) Add(tid, "namespace");
    }
  }

  /// Another one than its own for its next children, which may not exist before the first of them.
  void LookAtChildren(pid_t tid, const std::string& task) {
    for (const char* name : {"pid", "time"}) {
      std::string own = Namespace(task, name);
      std::string next = Namespace(task, (std::string(name) + "_for_children").c_str());
      if (own != next && !Namespace(task, name).empty()) Add(tid, "children");
    }
  }

  static constexpr const char* kOfThread[] = {"mnt", "net", "ipc", "uts", "cgroup"};
  const pid_t pid_;
  const std::string process_;
  const Status first_;
  std::vector<std::string> namespaces_;
  std::vector<Found> found_;
};

Napi::Value Unshared(const Napi::CallbackInfo& info) {
  pid_t pid = static_cast<pid_t>(NumberArgument(info, 0, "pid", INT32_MAX));
  return Promise<std::vector<Found>>(
      info.Env(), "", [=] { return Search(pid).All(); },
      [](Napi::Env env, const std::vector<Found>& found) {
        return ToArray(env, found, [](Napi::Env in, const Found& from) {
          Napi::Object one = Napi::Object::New(in);
          one.Set("tid", from.tid);
          one.Set("what", from.what);
          if (from.tracer) one.Set("tracer", from.tracer);
          return one;
        });
      });
}

}  // namespace

void ExportUnshared(Napi::Env env, Napi::Object exports) {
  exports.Set("unshared", Napi::Function::New<Unshared>(env));
}

}  // namespace sealift
