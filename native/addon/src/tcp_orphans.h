// SPDX-License-Identifier: Apache-2.0
// TCP connections without a process.
#pragma once

#include <napi.h>

namespace sealift {

void ExportTcpOrphans(Napi::Env env, Napi::Object exports);

}  // namespace sealift
