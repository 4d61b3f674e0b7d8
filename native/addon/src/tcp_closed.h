// SPDX-License-Identifier: Apache-2.0
// Closed TCP sockets that a task still has.
#pragma once

#include <napi.h>

namespace sealift {

void ExportTcpClosed(Napi::Env env, Napi::Object exports);

}  // namespace sealift
