// SPDX-License-Identifier: Apache-2.0
// Objects of an rxe device by owner (LIST), and the contexts that a process has open.
#pragma once

#include <napi.h>

namespace sealift {

void ExportRxeObjects(Napi::Env env, Napi::Object exports);

}  // namespace sealift
