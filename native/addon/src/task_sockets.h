// SPDX-License-Identifier: Apache-2.0
// The sockets that a task has open.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace sealift {

/// Calls `visit` with the number that a socket has in the task, and a descriptor of it here, which is closed afterwards.
/// Leaves out what is closed meanwhile. Does nothing for a process that has ended. Throws Failure.
void EachSocket(pid_t pid, const std::function<void(uint32_t fd, int socket)>& visit);

}  // namespace sealift
