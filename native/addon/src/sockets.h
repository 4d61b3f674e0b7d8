// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace sealift {

void ExportSockets(Napi::Env env, Napi::Object exports);

}  // namespace sealift
