// SPDX-License-Identifier: Apache-2.0
#include "task_files.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

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

}  // namespace

void EachFile(pid_t pid, const std::function<bool(const std::string& path)>& wanted,
              const std::function<void(uint32_t fd, int file)>& visit) {
  std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  Descriptor task(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  std::unique_ptr<DIR, CloseDir> dir(opendir(folder.c_str()));
  if (!task.open() || !dir) {
    if (errno == ESRCH || errno == ENOENT) return;
    throw Failure::FromErrno(errno, "open task " + std::to_string(pid));
  }
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] == '.' || !wanted(folder + "/" + entry->d_name)) continue;
    uint32_t fd = static_cast<uint32_t>(std::stoul(entry->d_name));
    Descriptor file(static_cast<int>(syscall(SYS_pidfd_getfd, task.get(), fd, 0)));
    if (file.open()) visit(fd, file.get());
  }
}

void EachSocket(pid_t pid, const std::function<void(uint32_t fd, int socket)>& visit) {
  EachFile(pid, IsSocket, visit);
}

}  // namespace sealift
