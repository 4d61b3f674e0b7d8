// SPDX-License-Identifier: Apache-2.0
// Two hosts at a switch: the peer and the target on one, the source on the other, all by macvlan.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as addon from '../index.ts';

const NAMES = ['h1', 'h2', 'sw', 'peer', 'source', 'target'] as const;
const ns = (name: string) => `sealift-test-${name}`;
const path = (name: string) => `/var/run/netns/${ns(name)}`;
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' }).toString();
const up = (name: string) => ip('-n', ns(name), 'link', 'set', 'v0', 'up');

function pod(host: string, name: string, mac: string, address: string): void {
  const link = ['link', 'add', 'v0', 'link', 'eth1', 'netns', ns(name), 'address', mac];
  ip('-n', ns(host), ...link, 'type', 'macvlan', 'mode', 'bridge');
  ip('-n', ns(name), 'addr', 'add', `${address}/24`, 'dev', 'v0');
}

function mode(name: string): string | undefined {
  return /macvlan mode (\w+)/.exec(ip('-n', ns(name), '-d', 'link', 'show', 'v0'))?.[1];
}

function answered(): boolean {
  try {
    ip('netns', 'exec', ns('peer'), 'ping', '-c', '2', '-i', '0.3', '-W', '1', '10.9.6.2');
    return true;
  } catch {
    return false;
  }
}

function build(): void {
  for (const name of NAMES) ip('netns', 'add', ns(name));
  ip('-n', ns('sw'), 'link', 'add', 'sw0', 'type', 'bridge');
  ip('-n', ns('sw'), 'link', 'set', 'sw0', 'up');
  for (const host of ['h1', 'h2']) {
    const peer = ['peer', 'name', host, 'netns', ns('sw')];
    // Made inside: this machine may have an eth1 of its own.
    ip('-n', ns(host), 'link', 'add', 'eth1', 'type', 'veth', ...peer);
    ip('-n', ns('sw'), 'link', 'set', host, 'master', 'sw0', 'up');
    ip('-n', ns(host), 'link', 'set', 'eth1', 'up');
  }
  pod('h1', 'peer', '02:00:00:00:06:01', '10.9.6.1');
  pod('h2', 'source', '02:00:00:00:06:02', '10.9.6.2');
  pod('h1', 'target', '02:00:00:00:06:02', '10.9.6.2');
  up('peer');
  up('source');
}

function tearDown(): void {
  for (const name of NAMES) {
    try {
      ip('netns', 'del', ns(name));
    } catch {
      // it was never made
    }
  }
}

const lock = (family: string) =>
  `add table ${family} l
   add chain ${family} l o { type filter hook output priority 0; policy drop; }`;

async function takesFramesUnlessHidden(): Promise<void> {
  await addon.nft(path('target'), ['inet', 'arp'].map(lock).join('\n'));
  while (!answered());
  up('target');
  assert.equal(answered(), false, 'a macvlan beside its peer takes the frames');
  assert.equal(await addon.hideInterface(path('target'), 'v0'), true);
  assert.equal(await addon.hideInterface(path('target'), 'v0'), true);
  assert.deepEqual([mode('target'), answered()], ['vepa', true]);
  assert.equal(await addon.showInterface(path('target'), 'v0'), true);
  assert.equal(await addon.showInterface(path('target'), 'v0'), false);
  assert.deepEqual([mode('target'), answered()], ['bridge', false]);
}

async function leavesAlone(): Promise<void> {
  assert.equal(await addon.hideInterface(path('h1'), 'eth1'), false);
  assert.equal(await addon.showInterface(path('h1'), 'eth1'), false);
  ip('-n', ns('source'), 'link', 'set', 'v0', 'type', 'macvlan', 'mode', 'private');
  assert.equal(await addon.hideInterface(path('source'), 'v0'), false);
  assert.equal(await addon.showInterface(path('source'), 'v0'), false);
  assert.equal(mode('source'), 'private');
}

/** Made in VEPA mode: by itself that means nothing. */
async function createdHidden(): Promise<void> {
  const source = path('source');
  ip('-n', ns('source'), 'link', 'set', 'v0', 'type', 'macvlan', 'mode', 'vepa');
  assert.equal(await addon.hideInterface(source, 'v0'), false);
  assert.equal(await addon.showInterface(source, 'v0'), false);
  ip('-n', ns('source'), 'link', 'set', 'v0', 'alias', 'mine');
  assert.equal(await addon.hideInterface(source, 'v0', { createdHidden: true }), true);
  assert.equal(await addon.hideInterface(source, 'v0', { createdHidden: true }), true);
  assert.equal(mode('source'), 'vepa');
  assert.equal(await addon.showInterface(source, 'v0'), true);
  assert.equal(mode('source'), 'bridge');
  assert.match(ip('-n', ns('source'), 'link', 'show', 'v0'), /alias mine$/m);
}

export async function macvlanCase(): Promise<void> {
  tearDown();
  try {
    build();
    await takesFramesUnlessHidden();
    await leavesAlone();
    await createdHidden();
  } finally {
    tearDown();
  }
}
