// SPDX-License-Identifier: Apache-2.0
// The real rules in real network namespaces, over a veth pair: what gets through and what does not.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nft } from '../../../../native/addon/index.ts';
import { able, netnsPath as path, sh, works } from '../../testing/namespaces.ts';
import { NetworkLock } from './network-lock.ts';

const [a, b] = [`slt-a${process.pid}`, `slt-b${process.pid}`];

/** What the kernel under the tests may lack; a node's has it. */
const knowsQueues =
  able &&
  works(`ip netns add ${a}; trap 'ip netns del ${a}' EXIT
    ip netns exec ${a} nft 'table inet x { chain y { queue num 1; }; }'`);

describe.runIf(able)('a locked namespace', () => {
  const lock = new NetworkLock(nft);
  beforeAll(() => {
    sh(`ip netns add ${a}; ip netns add ${b}
      ip -n ${a} link add v0 type veth peer name v0 netns ${b}
      ip -n ${a} addr add 10.9.8.1/24 dev v0; ip -n ${b} addr add 10.9.8.2/24 dev v0
      ip -n ${a} link set v0 up; ip -n ${b} link set v0 up; ip -n ${a} link set lo up; ip -n ${b} link set lo up`);
  });
  afterAll(() => {
    sh(`ip netns del ${a}; ip netns del ${b}`);
  });

  /** Whether a closed TCP port answers (with RST) at all. */
  const answers = () =>
    works(
      `ip netns exec ${b} timeout 1 bash -c 'exec 3<>/dev/tcp/10.9.8.1/9' 2>&1 | grep -q refused`,
    );
  const arp = () => {
    sh(`ip -n ${b} neigh flush dev v0`);
    answers();
    return / (REACHABLE|DELAY|STALE)/.test(sh(`ip -n ${b} neigh show dev v0`));
  };

  it.runIf(knowsQueues)('drops silently what running tasks send under a roce lock', async () => {
    const sends = () =>
      works(`ip netns exec ${a} bash -c 'echo x > /dev/udp/10.9.8.2/9' 2> /dev/null`);
    await lock.lock(path(a), 'roce');
    expect(sends()).toBe(true);
    await lock.lock(path(a), 'total');
    expect(sends()).toBe(false);
    await lock.unlock(path(a));
  });

  it('is open before, silent under a total lock, and open after', async () => {
    expect([arp(), answers()]).toEqual([true, true]);
    await lock.lock(path(a), 'total');
    await lock.lock(path(a), 'total');
    expect(await lock.isLocked(path(a))).toBe(true);
    expect([arp(), answers()]).toEqual([false, false]);
    await lock.unlock(path(a));
    await lock.unlock(path(a));
    expect(await lock.isLocked(path(a))).toBe(false);
    expect([arp(), answers()]).toEqual([true, true]);
  });

  it('answers ARP and lets only RoCE pass under a roce lock', async () => {
    await lock.lock(path(a), 'total');
    await lock.lock(path(a), 'roce');
    expect([arp(), answers()]).toEqual([true, false]);
    const got = (port: number) =>
      works(
        `ip netns exec ${a} timeout 2 ${process.execPath} -e "require('dgram').createSocket('udp4').on('message',()=>process.exit(0)).bind(${port})" & p=$!
         for i in 1 2 3 4 5 6; do sleep 0.2; ip netns exec ${b} ${process.execPath} -e "const s=require('dgram').createSocket('udp4');s.send('x',${port},'10.9.8.1',()=>s.close())"; done; wait $p`,
      );
    expect([got(4791), got(4792)]).toEqual([true, false]);
    await lock.unlock(path(a));
  });
});
