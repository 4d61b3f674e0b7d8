// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace sealift {
void ExportRdmaResources(Napi::Env env, Napi::Object exports);
}
