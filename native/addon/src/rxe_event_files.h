// SPDX-License-Identifier: Apache-2.0
// The event files of verbs contexts: completion channels and files of asynchronous events.
#pragma once

#include <napi.h>

namespace sealift {

void ExportRxeEventFiles(Napi::Env env, Napi::Object exports);

}  // namespace sealift
