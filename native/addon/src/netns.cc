// SPDX-License-Identifier: Apache-2.0
#include "netns.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "descriptor.h"
#include "failure.h"

namespace sealift {

void EnterNetns(const std::string& path) {
  Descriptor ns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns.open()) throw Failure::FromErrno(errno, "open network namespace " + path);
  if (setns(ns.get(), CLONE_NEWNET) < 0)
    throw Failure::FromErrno(errno, "enter network namespace " + path);
}

}  // namespace sealift
