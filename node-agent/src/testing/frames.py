#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# For tests, inside a network namespace.
#   frames.py capture IFNAME MAC SECONDS   prints the kinds of frames that MAC sent, as a JSON list
#   frames.py speak IFNAME V4 V6           sends something of every kind that a pod's kernel or its tasks send
#   frames.py provoke V4 V6                asks a pod for everything that its kernel answers by itself
import json
import os
import socket
import struct
import sys
import time

ROCE = 4791
ICMP6 = {1: 'icmp6-error', 128: 'ping6', 129: 'pong6', 133: 'router-solicit', 135: 'nd-solicit',
         136: 'nd-advert', 131: 'mld', 132: 'mld', 143: 'mld'}


def transport(version, protocol, rest):
    suffix = '6' if version == 6 else ''
    if protocol == 6:
        flags = rest[13]
        return ('rst' if flags & 4 else 'syn' if flags & 2 else 'tcp') + suffix
    if protocol == 17:
        port = struct.unpack('!H', rest[2:4])[0]
        return ('roce' if port == ROCE else 'udp') + suffix
    if protocol == 1:
        return {0: 'pong', 3: 'icmp-error', 8: 'ping'}.get(rest[0], f'icmp-{rest[0]}')
    if protocol == 2:
        return 'igmp'
    if protocol == 58:
        return ICMP6.get(rest[0], f'icmp6-{rest[0]}')
    return f'protocol-{protocol}'


def kind(frame):
    ethertype = struct.unpack('!H', frame[12:14])[0]
    body = frame[14:]
    if ethertype == 0x0806:
        return 'arp'
    if ethertype == 0x0800:
        return transport(4, body[9], body[(body[0] & 15) * 4:])
    if ethertype == 0x86DD:
        following, rest = body[6], body[40:]
        while following in (0, 43, 60):
            following, rest = rest[0], rest[8 + rest[1] * 8:]
        return transport(6, following, rest)
    return f'ethertype-{ethertype:04x}'


def capture(ifname, mac, seconds):
    wanted = bytes.fromhex(mac.replace(':', ''))
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind((ifname, 0))
    tap.settimeout(0.1)
    print('ready', flush=True)
    seen, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            frame, (_, _, packet_type, _, _) = tap.recvfrom(65536)
        except socket.timeout:
            continue
        if packet_type != socket.PACKET_OUTGOING and frame[6:12] == wanted:
            seen.add(kind(frame))
    print(json.dumps(sorted(seen)))


def quietly(work):
    try:
        work()
    except OSError:
        pass  # EPERM, ENETUNREACH, refused: what gets out is seen elsewhere


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def connect(family, address, port):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(0.3)
        one.connect((address, port))


def datagram(family, address, port):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.sendto(b'x', (address, port))


def ping(family, address):
    v6 = family == socket.AF_INET6
    packet = struct.pack('!BBHHH', 128 if v6 else 8, 0, 0, os.getpid() & 0xFFFF, 1)
    if not v6:
        packet = packet[:2] + struct.pack('!H', checksum(packet)) + packet[4:]
    with socket.socket(family, socket.SOCK_RAW, 58 if v6 else 1) as one:
        one.sendto(packet, (address, 0))


def join(ifname):
    index = socket.if_nametoindex(ifname)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        group = socket.inet_aton('239.1.2.3') + struct.pack('=4si', b'\0' * 4, index)
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        group = socket.inet_pton(socket.AF_INET6, 'ff05::1:3') + struct.pack('=I', index)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        time.sleep(0.3)


def talk(v4, v6, ports):
    for family, address in ((socket.AF_INET, v4), (socket.AF_INET6, v6)):
        quietly(lambda: connect(family, address, 9))
        for port in ports:
            quietly(lambda: datagram(family, address, port))
        quietly(lambda: ping(family, address))


command, *arguments = sys.argv[1:]
if command == 'capture':
    capture(arguments[0], arguments[1], float(arguments[2]))
elif command == 'speak':
    talk(arguments[1], arguments[2], (ROCE, 4792))
    quietly(lambda: join(arguments[0]))
else:
    talk(arguments[0], arguments[1], (4793,))
