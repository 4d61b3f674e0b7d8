// SPDX-License-Identifier: Apache-2.0
// Objects of an rxe device by owner (LIST), and the contexts that a process has open.
#pragma once

#include <napi.h>
#include <sealift_rxe.h>
#include <sys/types.h>

#include <functional>
#include <string>

namespace sealift {

/// Calls `visit` for each context of the device that the process has open: the descriptor that it has in the process, one
/// of it here, which is closed afterwards, and what the driver says of it, without its objects. Throws Failure.
void EachContext(
    const std::string& device, pid_t pid,
    const std::function<void(uint32_t fd, int file, const sealift_rxe_context& context)>& visit);

void ExportRxeObjects(Napi::Env env, Napi::Object exports);

}  // namespace sealift
