// SPDX-License-Identifier: Apache-2.0
// Routes, rules and proxied neighbours of a node.
import { call } from './native.ts';
import type { Netns, OwnRoute, ProxyNeighbour } from './types.ts';

/**
 * Adds a route to `destination` (`10.0.0.1/32`), or changes the one that is there. With `via` and `ifname` the gateway
 * need not be within a subnet of the interface. Rejects with the kernel's refusal (`ENETUNREACH`: the gateway is not
 * reached directly), `NoSuchInterface`, `BadArgument`. Source: RTM_NEWROUTE.
 */
export function replaceRoute(of: {
  netns: Netns;
  table: number;
  destination: string;
  via?: string | undefined;
  ifname?: string | undefined;
  source?: string | undefined;
}): Promise<void> {
  const { netns, table, destination, via, ifname, source } = of;
  return call((addon) => addon.replaceRoute(netns, table, destination, via, ifname, source));
}

/** Resolves with whether there was one of Sealift's. */
export function deleteRoute(of: {
  netns: Netns;
  table: number;
  destination: string;
}): Promise<boolean> {
  return call((addon) => addon.deleteRoute(of.netns, of.table, of.destination));
}

/** The routes that `replaceRoute` has put into a table. */
export function routes(netns: Netns, table: number): Promise<OwnRoute[]> {
  return call((addon) => addon.routes(netns, table));
}

/** Has the kernel look into a table before those whose rules have higher priority numbers. May be repeated. */
export function ensureRule(of: { netns: Netns; table: number; priority: number }): Promise<void> {
  return call((addon) => addon.ensureRule(of.netns, of.table, of.priority));
}

/** Ends what `ensureRule` has begun. May be repeated. */
export function removeRule(of: { netns: Netns; table: number; priority: number }): Promise<void> {
  return call((addon) => addon.removeRule(of.netns, of.table, of.priority));
}

/** The host answers neighbours on the interface for the address (ARP; for IPv6 only with the sysctl proxy_ndp). */
export function addProxyNeighbour(of: {
  netns: Netns;
  ifname: string;
  address: string;
}): Promise<boolean> {
  return call((addon) => addon.addProxyNeighbour(of.netns, of.ifname, of.address));
}

/** Resolves with whether there was one. */
export function deleteProxyNeighbour(of: {
  netns: Netns;
  ifname: string;
  address: string;
}): Promise<boolean> {
  return call((addon) => addon.deleteProxyNeighbour(of.netns, of.ifname, of.address));
}

/** Those that `addProxyNeighbour` has added. */
export function proxyNeighbours(netns: Netns): Promise<ProxyNeighbour[]> {
  return call((addon) => addon.proxyNeighbours(netns));
}
