// SPDX-License-Identifier: Apache-2.0
// Kernel modules, durable directories, device nodes, the kernel's release.
#pragma once

#include <napi.h>

namespace sealift {
void ExportHost(Napi::Env env, Napi::Object exports);
}
