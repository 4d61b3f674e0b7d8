// SPDX-License-Identifier: Apache-2.0
// Entering a network namespace.
#pragma once

#include <string>

namespace sealift {

/// Moves the calling thread, which must be one that ends soon, into the network namespace at `path`.
/// Throws Failure with errno's name.
void EnterNetns(const std::string& path);

/// The network namespace of the host's init, where RDMA devices are created.
inline constexpr char kInitNetns[] = "/proc/1/ns/net";

}  // namespace sealift
