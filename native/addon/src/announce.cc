// SPDX-License-Identifier: Apache-2.0
// Telling switches and neighbours where an address is now: gratuitous ARP, unsolicited neighbour
// advertisements. The frames are made here, because the kernel sends them only when an address is new.
#include "announce.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "arguments.h"
#include "descriptor.h"
#include "interface.h"
#include "job.h"
#include "route.h"

namespace sealift {

namespace {

using Frame = std::vector<uint8_t>;

constexpr uint8_t kBroadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr uint8_t kAllNodesMac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
constexpr uint8_t kAllNodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

template <typename T>
void Append(Frame& frame, const T& part) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&part);
  frame.insert(frame.end(), bytes, bytes + sizeof(part));
}

Frame Ethernet(const uint8_t* to, const uint8_t* from, uint16_t type) {
  ether_header header{};
  memcpy(header.ether_dhost, to, ETH_ALEN);
  memcpy(header.ether_shost, from, ETH_ALEN);
  header.ether_type = htons(type);
  Frame frame;
  Append(frame, header);
  return frame;
}

// Some hosts update their tables from a request only, some from a reply only.
Frame Arp(const uint8_t* mac, const Address& address, uint16_t operation) {
  Frame frame = Ethernet(kBroadcast, mac, ETHERTYPE_ARP);
  ether_arp arp{};
  arp.ea_hdr.ar_hrd = htons(ARPHRD_ETHER);
  arp.ea_hdr.ar_pro = htons(ETHERTYPE_IP);
  arp.ea_hdr.ar_hln = ETH_ALEN;
  arp.ea_hdr.ar_pln = 4;
  arp.ea_hdr.ar_op = htons(operation);
  memcpy(arp.arp_sha, mac, ETH_ALEN);
  memcpy(arp.arp_spa, address.bytes.data(), 4);
  memcpy(arp.arp_tha, operation == ARPOP_REPLY ? mac : kBroadcast, ETH_ALEN);
  memcpy(arp.arp_tpa, address.bytes.data(), 4);
  Append(frame, arp);
  return frame;
}

uint16_t Checksum(const ip6_hdr& ip, const Frame& payload) {
  Frame sum_over;
  Append(sum_over, ip.ip6_src);
  Append(sum_over, ip.ip6_dst);
  Append(sum_over, htonl(static_cast<uint32_t>(payload.size())));
  Append(sum_over, htonl(IPPROTO_ICMPV6));
  sum_over.insert(sum_over.end(), payload.begin(), payload.end());
  uint32_t sum = 0;
  for (size_t at = 0; at + 1 < sum_over.size(); at += 2)
    sum += static_cast<uint32_t>(sum_over[at] << 8 | sum_over[at + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}

Frame Advertisement(const uint8_t* mac, const Address& address) {
  nd_neighbor_advert advert{};
  advert.nd_na_type = ND_NEIGHBOR_ADVERT;
  advert.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
  memcpy(&advert.nd_na_target, address.bytes.data(), 16);
  Frame payload;
  Append(payload, advert);
  payload.push_back(ND_OPT_TARGET_LINKADDR);
  payload.push_back(1);  // in units of eight bytes
  payload.insert(payload.end(), mac, mac + ETH_ALEN);

  ip6_hdr ip{};
  ip.ip6_flow = htonl(6u << 28);
  ip.ip6_plen = htons(static_cast<uint16_t>(payload.size()));
  ip.ip6_nxt = IPPROTO_ICMPV6;
  ip.ip6_hlim = 255;  // a receiver refuses anything else
  memcpy(&ip.ip6_src, address.bytes.data(), 16);
  memcpy(&ip.ip6_dst, kAllNodes, 16);

  advert.nd_na_cksum = Checksum(ip, payload);
  memcpy(payload.data(), &advert, sizeof(advert));

  Frame frame = Ethernet(kAllNodesMac, mac, ETHERTYPE_IPV6);
  Append(frame, ip);
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

// `only`: an address that need not be the interface's own; empty: all that it has.
uint32_t Announce(const std::string& name, uint32_t count, uint32_t interval_ms, const std::string& only) {
  Interface interface = ReadInterface(name);
  if (!only.empty()) interface.addresses = {ParseAddress(only)};
  if (interface.mac.size() != ETH_ALEN)
    throw Failure::FromErrno(EOPNOTSUPP, "announce on " + name + ", which is no Ethernet");

  std::vector<Frame> frames;
  for (const auto& address : interface.addresses) {
    if (address.family == AF_INET) {
      frames.push_back(Arp(interface.mac.data(), address, ARPOP_REQUEST));
      frames.push_back(Arp(interface.mac.data(), address, ARPOP_REPLY));
    } else if (address.family == AF_INET6) {
      frames.push_back(Advertisement(interface.mac.data(), address));
    }
  }

  Descriptor socket_fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket_fd.open()) throw Failure::FromErrno(errno, "open packet socket");
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(interface.index);
  to.sll_halen = ETH_ALEN;

  uint32_t sent = 0;
  for (uint32_t round = 0; round < count; round++) {
    if (round) std::this_thread::sleep_for(std::chrono::milliseconds(interval_ms));
    for (const auto& frame : frames) {
      memcpy(to.sll_addr, frame.data(), ETH_ALEN);
      if (sendto(socket_fd.get(), frame.data(), frame.size(), 0,
                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0)
        throw Failure::FromErrno(errno, "announce on " + name);
      sent++;
    }
  }
  return sent;
}

Napi::Value AnnounceOn(const Napi::CallbackInfo& info) {
  std::string name = NameArgument(info, 1, "ifname", 15);
  uint32_t count = NumberArgument(info, 2, "count", 100);
  uint32_t interval_ms = NumberArgument(info, 3, "intervalMs", 60'000);
  std::string only = info[4].IsUndefined() ? "" : StringArgument(info, 4, "address");
  return Promise<uint32_t>(
      info.Env(), PathArgument(info, 0, "netns"),
      [=] { return Announce(name, count, interval_ms, only); },
      [](Napi::Env env, const uint32_t& sent) { return Napi::Number::New(env, sent); });
}

}  // namespace

void ExportAnnounce(Napi::Env env, Napi::Object exports) {
  exports.Set("announce", Napi::Function::New<AnnounceOn>(env));
}

}  // namespace sealift
