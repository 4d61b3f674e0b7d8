// SPDX-License-Identifier: Apache-2.0
// TCP connections at given addresses, reset.
#pragma once

#include <napi.h>

namespace sealift {

void ExportTcpResets(Napi::Env env, Napi::Object exports);

}  // namespace sealift
