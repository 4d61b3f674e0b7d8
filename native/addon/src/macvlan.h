// SPDX-License-Identifier: Apache-2.0
// Hiding a macvlan from its siblings on the host.
#pragma once

#include <napi.h>

namespace sealift {
void ExportMacvlan(Napi::Env env, Napi::Object exports);
}
