// SPDX-License-Identifier: Apache-2.0
// Netlink requests and replies: rtnetlink and RDMA's nldev.
#pragma once

#include <libmnl/libmnl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sealift {

/// A request being built: header, fixed part, attributes.
class Request {
 public:
  Request(uint16_t type, uint16_t flags);
  void* Fixed(size_t size) { return mnl_nlmsg_put_extra_header(header_, size); }
  void Put(uint16_t attribute, uint32_t value);
  void Put(uint16_t attribute, const std::string& value);
  nlmsghdr* header() { return header_; }

 private:
  std::vector<char> buffer_;
  nlmsghdr* header_;
};

/// Attributes nested in `nest`, repeated ones too.
std::vector<const nlattr*> Nested(const nlattr* nest);

/// Attributes of a message or of another attribute; each read checks the length.
class Attributes {
 public:
  Attributes(const nlmsghdr* message, size_t fixed);
  explicit Attributes(const nlattr* nest);
  std::optional<uint32_t> U32(uint16_t type) const;
  std::optional<uint64_t> U64(uint16_t type) const;
  std::optional<uint8_t> U8(uint16_t type) const;
  std::optional<std::string> Text(uint16_t type) const;
  const nlattr* Get(uint16_t type) const { return type < table_.size() ? table_[type] : nullptr; }

 private:
  void Add(const nlattr* attribute);
  std::vector<const nlattr*> table_;
};

/// A netlink socket in the namespace that its maker's thread was in.
class Netlink {
 public:
  explicit Netlink(int bus);
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  using Message = std::vector<char>;
  /// Sends the request and returns every message of the answer. Throws Failure (`attempted` says what
  /// for) if the kernel refuses; a dump that a change interrupted is asked for again.
  std::vector<Message> Ask(Request& request, const std::string& attempted);
  static const nlmsghdr* Header(const Message& message) {
    return reinterpret_cast<const nlmsghdr*>(message.data());
  }

 private:
  bool Receive(uint32_t sequence, const std::string& attempted, std::vector<Message>& messages);

  mnl_socket* socket_;
  uint32_t sequence_ = 0;
};

}  // namespace sealift
