// SPDX-License-Identifier: Apache-2.0
// System V IPC objects of an IPC namespace.
#pragma once

#include <napi.h>

namespace sealift {

void ExportSysvipc(Napi::Env env, Napi::Object exports);

}  // namespace sealift
