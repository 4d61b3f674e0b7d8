// SPDX-License-Identifier: Apache-2.0
// The Unix sockets of a network namespace.
#pragma once

#include <napi.h>

namespace sealift {

void ExportUnixSockets(Napi::Env env, Napi::Object exports);

}  // namespace sealift
