// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <napi.h>

namespace sealift {

void ExportRxeObjects(Napi::Env env, Napi::Object exports);

}  // namespace sealift
