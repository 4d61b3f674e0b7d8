// SPDX-License-Identifier: Apache-2.0
// TCP sockets left in repair mode.
#pragma once

#include <napi.h>

namespace sealift {

void ExportTcpRepair(Napi::Env env, Napi::Object exports);

}  // namespace sealift
