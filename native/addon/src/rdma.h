// SPDX-License-Identifier: Apache-2.0
// RDMA devices as nldev shows them. All functions speak from the calling thread's namespace.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink.h"

namespace sealift {

/// Of a device's name: IB_DEVICE_NAME_MAX without its NUL.
constexpr size_t kLongestRdmaName = 63;

struct RdmaDevice {
  uint32_t index = 0;
  std::string name;
  uint64_t node_guid = 0;
  std::optional<std::string> netdev;
};

struct Chardev {
  std::string name;
  dev_t number = 0;
};

Request NldevRequest(int command, uint16_t flags);

std::vector<RdmaDevice> RdmaDevices(Netlink& nldev);
std::optional<RdmaDevice> FindRdmaDevice(Netlink& nldev, const std::string& name);
/// Throws Failure `NoSuchDevice`.
RdmaDevice RequireRdmaDevice(Netlink& nldev, const std::string& name);
/// The uverbs character device; nothing if ib_uverbs is not loaded.
std::optional<Chardev> UverbsChardev(Netlink& nldev, uint32_t index);
/// Name of a value of the RDMA core's enum ib_qp_type, which no user header has.
const char* QpTypeName(uint32_t type);

}  // namespace sealift
