// SPDX-License-Identifier: Apache-2.0
// The GID table of a device's port 1.
#pragma once

#include <napi.h>

namespace sealift {
void ExportGids(Napi::Env env, Napi::Object exports);
}
