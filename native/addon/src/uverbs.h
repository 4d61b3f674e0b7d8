// SPDX-License-Identifier: Apache-2.0
// Method calls on a uverbs device, by the kernel's ioctl interface alone (libibverbs would want the
// device's sysfs of that namespace and a driver library).
#pragma once

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include <cstdint>
#include <string>
#include <vector>

#include "descriptor.h"
#include "rdma.h"

namespace sealift {

/// One call being built. Buffers that are pointed to must outlive Run().
class UverbsCall {
 public:
  /// Goes to the rxe driver: the kernel wants its id for common methods too.
  UverbsCall(uint16_t object, uint16_t method);
  UverbsCall& In(uint16_t attribute, const void* data, uint16_t length);
  UverbsCall& Out(uint16_t attribute, void* data, uint16_t length);
  /// A value of at most eight bytes travels in the attribute itself.
  UverbsCall& Value(uint16_t attribute, uint64_t value, uint16_t length);
  /// Returns 0 or an errno.
  int Run(int fd);

 private:
  ib_uverbs_attr& Add(uint16_t attribute, uint16_t length);

  uint16_t object_;
  uint16_t method_;
  std::vector<ib_uverbs_attr> attributes_;
};

/// An open context of the named device of the calling thread's namespace.
/// Throws Failure `NoSuchDevice`, or errno's name.
class UverbsContext {
 public:
  explicit UverbsContext(const std::string& device);
  int fd() const { return fd_.get(); }

 private:
  Descriptor fd_;
};

}  // namespace sealift
