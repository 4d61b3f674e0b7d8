// SPDX-License-Identifier: Apache-2.0
// A network interface in a namespace: its addresses, its MTU, who hears it.
import { call } from './native.ts';
import type { HostEnd, InterfaceInfo, Netns, PlainAddress } from './types.ts';

/** Rejects with `NoSuchInterface`. Source: rtnetlink. */
export function interfaceInfo(netns: Netns, ifname: string): Promise<InterfaceInfo> {
  return call((addon) => addon.interfaceInfo(netns, ifname));
}

/**
 * Rejects with `NoSuchInterface`, `BadArgument`, and the kernel's refusal (`EINVAL`: a macvlan cannot have more than the interface
 * below it). Source: RTM_NEWLINK.
 */
export function setMtu(of: { netns: Netns; ifname: string; mtu: number }): Promise<void> {
  return call((addon) => addon.setMtu(of.netns, of.ifname, of.mtu));
}

/**
 * Keeps a macvlan in bridge mode from taking frames that its siblings on this host send to its MAC while
 * another host's interface still has that MAC, or has it already: they leave by the wire instead (VEPA).
 * Interfaces of other kinds and modes are left alone. Remembered on the interface (its alias): idempotent,
 * also over a restart. `createdHidden` if it was created in VEPA mode only in order to be hidden (the CNI
 * delegate says so). Resolves with whether it is hidden now. Rejects with `NoSuchInterface`.
 */
export function hideInterface(
  netns: Netns,
  ifname: string,
  options: { createdHidden?: boolean } = {},
): Promise<boolean> {
  return call((addon) => addon.hideInterface(netns, ifname, options.createdHidden ?? false));
}

/** Ends what `hideInterface` began; resolves with whether there was anything to end. */
export function showInterface(netns: Netns, ifname: string): Promise<boolean> {
  return call((addon) => addon.showInterface(netns, ifname));
}

/**
 * Tells the network where the interface's addresses are: for each IPv4 address a gratuitous ARP request
 * and reply, for each IPv6 address an unsolicited neighbour advertisement; `count` times (default 3, as one
 * frame may be lost), `intervalMs` (default 20) apart. With `address` it announces that one only, whether or not the interface has it.
 * Resolves with the number of frames sent.
 */
export function announce(of: {
  netns: Netns;
  ifname: string;
  count?: number;
  intervalMs?: number;
  address?: string;
}): Promise<number> {
  const { netns, ifname, count = 3, intervalMs = 20, address } = of;
  return call((addon) => addon.announce(netns, ifname, count, intervalMs, address));
}

/**
 * Gives an interface these addresses (`10.0.0.1/32`) and takes every other but link-local ones from it. Without duplicate
 * address detection. Routes that need an address that goes, go with it. Rejects with `NoSuchInterface`, `BadArgument`.
 */
export function replaceAddresses(of: {
  netns: Netns;
  ifname: string;
  addresses: readonly string[];
}): Promise<void> {
  return call((addon) => addon.replaceAddresses(of.netns, of.ifname, [...of.addresses]));
}

/**
 * Without duplicate address detection. Rejects with `EEXIST` if the interface has it, `NoSuchInterface`, `BadArgument`, and the
 * kernel's refusal (`EACCES`: IPv6 is off). Source: RTM_NEWADDR.
 */
export function addAddress(of: {
  netns: Netns;
  ifname: string;
  address: PlainAddress;
}): Promise<void> {
  return call((addon) => addon.addAddress(of.netns, of.ifname, of.address));
}

/** Resolves with whether it was there; it is found by address, prefix length and peer. Rejects as `addAddress`. */
export function removeAddress(of: {
  netns: Netns;
  ifname: string;
  address: PlainAddress;
}): Promise<boolean> {
  return call((addon) => addon.removeAddress(of.netns, of.ifname, of.address));
}

/**
 * Routes by the interface that neither the kernel nor a router has made, for `giveRoutesBack`. Those over several interfaces are not
 * among them.
 */
export function keptRoutes(of: { netns: Netns; ifname: string }): Promise<Buffer[]> {
  return call((addon) => addon.keptRoutes(of.netns, of.ifname));
}

/**
 * Makes those of the routes that have gone meanwhile. Resolves with how many the kernel refuses: their gateway is out of reach now, or
 * their source address is not there.
 */
export function giveRoutesBack(of: { netns: Netns; routes: readonly Buffer[] }): Promise<number> {
  return call((addon) => addon.giveRoutesBack(of.netns, [...of.routes]));
}

/** The other end, in `hostNetns`, of a pod's veth. Rejects with `NoSuchInterface` for one that has no other end. */
export function hostEnd(of: { netns: Netns; ifname: string; hostNetns: Netns }): Promise<HostEnd> {
  return call((addon) => addon.hostEnd(of.netns, of.ifname, of.hostNetns));
}
