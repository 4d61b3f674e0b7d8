// SPDX-License-Identifier: Apache-2.0
#include "netlink.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "failure.h"

namespace sealift {

namespace {
constexpr size_t kRequestSize = 4096;
constexpr size_t kReplySize = 65536;
constexpr int kDumpAttempts = 5;
constexpr time_t kAnswerSeconds = 20;
}  // namespace

Request::Request(uint16_t type, uint16_t flags)
    : buffer_(kRequestSize), header_(mnl_nlmsg_put_header(buffer_.data())) {
  header_->nlmsg_type = type;
  header_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
}

void Request::Put(uint16_t attribute, uint32_t value) {
  if (!mnl_attr_put_u32_check(header_, buffer_.size(), attribute, value))
    throw Failure("BadArgument", "netlink request too long");
}

void Request::Put(uint16_t attribute, const std::string& value) {
  if (!mnl_attr_put_strz_check(header_, buffer_.size(), attribute, value.c_str()))
    throw Failure("BadArgument", "netlink request too long");
}

// libmnl's own loops do not compile as C++.
static std::vector<const nlattr*> Walk(const void* start, size_t length) {
  std::vector<const nlattr*> found;
  const auto* at = static_cast<const nlattr*>(start);
  const char* end = static_cast<const char*>(start) + length;
  while (mnl_attr_ok(at, static_cast<int>(end - reinterpret_cast<const char*>(at)))) {
    found.push_back(at);
    at = mnl_attr_next(at);
  }
  return found;
}

std::vector<const nlattr*> Nested(const nlattr* nest) {
  return Walk(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest));
}

Attributes::Attributes(const nlmsghdr* message, size_t fixed) {
  const char* start = static_cast<const char*>(mnl_nlmsg_get_payload_offset(message, fixed));
  const char* end = reinterpret_cast<const char*>(message) + message->nlmsg_len;
  if (start >= end) return;
  for (const nlattr* attribute : Walk(start, static_cast<size_t>(end - start))) Add(attribute);
}

Attributes::Attributes(const nlattr* nest) {
  for (const nlattr* attribute : Nested(nest)) Add(attribute);
}

void Attributes::Add(const nlattr* attribute) {
  uint16_t type = mnl_attr_get_type(attribute);
  if (type >= table_.size()) table_.resize(type + 1u, nullptr);
  table_[type] = attribute;
}

std::optional<uint32_t> Attributes::U32(uint16_t type) const {
  const nlattr* at = Get(type);
  if (!at || mnl_attr_validate(at, MNL_TYPE_U32) < 0) return std::nullopt;
  return mnl_attr_get_u32(at);
}

std::optional<uint64_t> Attributes::U64(uint16_t type) const {
  const nlattr* at = Get(type);
  if (!at || mnl_attr_validate(at, MNL_TYPE_U64) < 0) return std::nullopt;
  return mnl_attr_get_u64(at);
}

std::optional<uint8_t> Attributes::U8(uint16_t type) const {
  const nlattr* at = Get(type);
  if (!at || mnl_attr_validate(at, MNL_TYPE_U8) < 0) return std::nullopt;
  return mnl_attr_get_u8(at);
}

std::optional<std::string> Attributes::Text(uint16_t type) const {
  const nlattr* at = Get(type);
  if (!at || mnl_attr_validate(at, MNL_TYPE_NUL_STRING) < 0) return std::nullopt;
  return std::string(mnl_attr_get_str(at));
}

Netlink::Netlink(int bus) : socket_(mnl_socket_open2(bus, SOCK_CLOEXEC)) {
  if (!socket_) throw Failure::FromErrno(errno, "open netlink socket");
  timeval limit{kAnswerSeconds, 0};
  setsockopt(mnl_socket_get_fd(socket_), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (mnl_socket_bind(socket_, 0, MNL_SOCKET_AUTOPID) < 0) {
    int number = errno;
    mnl_socket_close(socket_);
    throw Failure::FromErrno(number, "bind netlink socket");
  }
}

Netlink::~Netlink() { mnl_socket_close(socket_); }

std::vector<Netlink::Message> Netlink::Ask(Request& request, const std::string& attempted) {
  // The final ACK marks the answer's end for anything but a dump, which ends with NLMSG_DONE.
  request.header()->nlmsg_flags |= NLM_F_ACK;
  for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
    request.header()->nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_, request.header(), request.header()->nlmsg_len) < 0)
      throw Failure::FromErrno(errno, attempted);
    std::vector<Message> messages;
    if (Receive(sequence_, attempted, messages)) return messages;
  }
  throw Failure::FromErrno(EAGAIN, attempted);
}

// False if the kernel says that the dump is torn.
bool Netlink::Receive(uint32_t sequence, const std::string& attempted,
                      std::vector<Message>& messages) {
  std::vector<char> buffer(kReplySize);
  bool whole = true;
  for (;;) {
    ssize_t got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure::FromErrno(errno == EAGAIN ? ETIMEDOUT : errno, attempted);
    int left = static_cast<int>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_seq != sequence) continue;
      if (message->nlmsg_flags & NLM_F_DUMP_INTR) whole = false;
      if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        int result = 0;  // an error of 0 is the ACK; DONE carries the dump's result
        if (mnl_nlmsg_get_payload_len(message) >= sizeof(result))
          memcpy(&result, mnl_nlmsg_get_payload(message), sizeof(result));
        if (result < 0) throw Failure::FromErrno(-result, attempted);
        return whole;
      }
      const char* bytes = reinterpret_cast<const char*>(message);
      messages.emplace_back(bytes, bytes + message->nlmsg_len);
    }
  }
}

}  // namespace sealift
