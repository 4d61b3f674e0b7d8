// SPDX-License-Identifier: Apache-2.0
// Sockets that CRIU cannot dump.
#pragma once

#include <napi.h>

namespace sealift {

void ExportSockets(Napi::Env env, Napi::Object exports);

}  // namespace sealift
