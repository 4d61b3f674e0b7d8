// SPDX-License-Identifier: Apache-2.0
// What the threads of a process do not share with it.
#pragma once

#include <napi.h>

namespace sealift {

void ExportUnshared(Napi::Env env, Napi::Object exports);

}  // namespace sealift
