// SPDX-License-Identifier: Apache-2.0
// NAKs that end a connection, kept by the queue pairs of a held rxe device.
#pragma once

#include <napi.h>

namespace sealift {

void ExportRxeNaks(Napi::Env env, Napi::Object exports);

}  // namespace sealift
