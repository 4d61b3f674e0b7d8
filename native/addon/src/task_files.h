// SPDX-License-Identifier: Apache-2.0
// The files that a task has open.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

namespace sealift {

/// Calls `visit` with the number that a file has in the task, and a descriptor of it here, which is closed afterwards.
/// `wanted` chooses files by their path /proc/PID/fd/N. Leaves out what is closed meanwhile. Does nothing for a process
/// that has ended. Throws Failure.
void EachFile(pid_t pid, const std::function<bool(const std::string& path)>& wanted,
              const std::function<void(uint32_t fd, int file)>& visit);

/// EachFile of sockets.
void EachSocket(pid_t pid, const std::function<void(uint32_t fd, int socket)>& visit);

}  // namespace sealift
