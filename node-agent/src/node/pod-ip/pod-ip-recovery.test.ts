// SPDX-License-Identifier: Apache-2.0
// What is not as it should be on one node, for one address: the other addresses do not suffer. As pod-ip.test.ts, without
// connections.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { able, sh, works } from '../../testing/namespaces.ts';
import { hasPlugins, TestCluster, type TestNode } from '../../testing/pod-network.ts';
import type { KeptAddresses } from './pod-ip.ts';

const none: KeptAddresses = { here: [], elsewhere: [], unknown: [] };
/** No node has it, and no route leads there. */
const NOWHERE = '192.0.2.9';

describe.runIf(able && hasPlugins).each(['bridge', 'ptp'] as const)(
  'addresses on CNI plugin %s',
  (type) => {
    const prefix = `sr${type[0] ?? ''}${process.pid % 100_000}`;
    let cluster: TestCluster;
    let a: TestNode;
    let b: TestNode;
    beforeAll(async () => {
      cluster = new TestCluster(prefix, type);
      await cluster.open();
      [a, b] = cluster.nodes;
    });
    afterAll(async () => {
      await cluster.close();
    });
    afterEach(async () => {
      for (const node of cluster.nodes) await node.podIp.clear();
    });

    const table = ({ name }: TestNode): string[] =>
      sh(`ip -n ${name} route show table 7460`)
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '');
    const pings = (from: string, address: string): boolean =>
      works(`ip netns exec ${from} ping -c1 -W1 ${address}`);
    const at = (podUid: string, address: string) => ({ podUid, addresses: [address] });

    it('are routed to a sandbox that is made anew, before it has a container', async () => {
      const [address, other] = ['10.88.1.5', '10.88.1.6'];
      let woken = 0;
      b.podIp.listen(() => woken++);
      const first = await b.addMoved(`${prefix}p1`, [address]);
      await b.lock.unlock(first.netns);
      const here = [at(first.uid, address)];
      expect(await b.podIp.route({ ...none, here })).toMatchObject({ failed: [], waiting: [] });
      expect(pings(b.name, address)).toBe(true);
      await b.deletePod(first, true);
      // Its sandbox is gone, as after a boot; another address is routed nevertheless.
      const elsewhere = [{ address: other, via: '10.77.0.13' }];
      const without = await b.podIp.route({ ...none, here, elsewhere });
      expect(without.failed).toEqual([]);
      expect(without.waiting).toContain(address);
      expect(table(b).join()).toContain(`${other} via 10.77.0.13`);
      expect(await b.podIp.placedAddresses(first.uid)).toEqual([address]);
      const again = await b.addMoved(`${prefix}p1`, [address]);
      await b.lock.unlock(again.netns);
      b.removeContainer(again.name, `${again.name}-main`);
      expect(woken).toBe(2);
      expect(await b.podIp.route({ ...none, here })).toMatchObject({ failed: [], waiting: [] });
      expect(pings(b.name, address)).toBe(true);
      await b.deletePod(again, true);
      await b.podIp.prune(() => false);
      expect(await b.podIp.placedAddresses(first.uid)).toBeUndefined();
    });

    it('stay routed while the pod’s only container starts again', async () => {
      const pod = await b.addMoved(`${prefix}p2`, ['10.88.1.7']);
      await b.lock.unlock(pod.netns);
      const here = [at(pod.uid, '10.88.1.7')];
      await b.podIp.route({ ...none, here });
      b.removeContainer(`${pod.name}-main`);
      expect(await b.podIp.route({ ...none, here })).toMatchObject({ changed: [], waiting: [] });
      expect(pings(b.name, '10.88.1.7')).toBe(true);
      await b.deletePod(pod, true);
    });

    it('are found by the sandbox that containerd has, too: the agent was away', async () => {
      const pod = await b.addPod(`${prefix}p3`);
      const here = [at(pod.uid, pod.address)];
      expect(await b.podIp.route({ ...none, here })).toMatchObject({ waiting: [] });
      expect(table(b)).toHaveLength(1);
      await b.deletePod(pod, false);
    });

    it('do not suffer from one that cannot be routed, which keeps the route that it has', async () => {
      const pod = await a.addPod(`${prefix}p4`);
      const [lost, good] = ['10.88.2.8', '10.88.2.9'];
      await a.podIp.route({ ...none, elsewhere: [{ address: lost, via: '10.77.0.13' }] });
      const { failed, changed } = await a.podIp.route({
        ...none,
        elsewhere: [
          { address: lost, via: NOWHERE },
          { address: good, via: '10.77.0.12' },
        ],
      });
      expect(failed).toMatchObject([{ address: lost, code: 'NodeUnreachable' }]);
      expect(failed[0]?.message).toContain(NOWHERE);
      expect(changed).toEqual([good]);
      expect(table(a).sort()).toEqual([
        expect.stringContaining(`${lost} via 10.77.0.13`),
        expect.stringContaining(`${good} via 10.77.0.12`),
      ]);
      const answers = sh(`ip -n ${a.name} neigh show proxy`);
      for (const one of type === 'bridge' ? [lost, good] : []) expect(answers).toContain(one);
      await a.deletePod(pod, false);
    });

    it('do not suffer from a pod that is just going', async () => {
      const [going, staying] = [await b.addPod(`${prefix}p5`), await b.addPod(`${prefix}p6`)];
      sh(`ip -n ${going.name} link del eth0`);
      const here = [at(going.uid, going.address), at(staying.uid, staying.address)];
      const { failed } = await b.podIp.route({ ...none, here });
      expect(failed).toMatchObject([{ address: going.address, code: 'NoSuchInterface' }]);
      expect(table(b).join()).toContain(staying.address);
      for (const pod of [going, staying]) await b.deletePod(pod, false);
    });

    it('that nobody can place now keep what they have', async () => {
      await a.podIp.route({ ...none, elsewhere: [{ address: '10.88.2.8', via: '10.77.0.13' }] });
      const before = table(a);
      await a.podIp.route({ ...none, unknown: ['10.88.2.8'] });
      expect(table(a)).toEqual(before);
      expect(sh(`ip -n ${a.name} rule`)).toContain('7460');
    });

    it('leave nothing on a node that is cleared', async () => {
      const [gone, staying] = [await a.addPod(`${prefix}p7`), await a.addPod(`${prefix}p8`)];
      await a.podIp.reserve([gone.address, staying.address]);
      await a.deletePod(gone, false);
      const elsewhere = [{ address: gone.address, via: '10.77.0.12' }];
      await a.podIp.route({ ...none, elsewhere });
      expect(a.records()).toContain(gone.address);
      await a.podIp.clear();
      await a.podIp.clear();
      expect(table(a)).toEqual([]);
      expect(sh(`ip -n ${a.name} rule; ip -n ${a.name} neigh show proxy`)).not.toMatch(
        /7460|10\.88\./,
      );
      // Given back to the pod that stays.
      expect(a.records()).toEqual([staying.address]);
      await a.deletePod(staying, false);
      expect(a.records()).toEqual([]);
    });

    it('are reserved also if their record was lost, but not those of other nodes', async () => {
      const pod = await a.addPod(`${prefix}p9`);
      sh(`rm ${a.dir}/ipam/pods/${pod.address}`);
      await a.podIp.reserve([pod.address, '10.88.2.9']);
      expect(a.records()).toEqual([pod.address]);
      await a.podIp.release(() => false);
      expect(a.records()).toEqual([]);
      await a.deletePod(pod, false);
    });

    it('are not promised by a node whose network cannot keep them any more', async () => {
      const conf = a.host.path('/etc/cni/net.d');
      sh(`mv ${conf} ${conf}.away`);
      try {
        await expect(a.podIp.reserve(['10.88.1.9'])).rejects.toMatchObject({
          code: 'PodNetworkUnsupported',
        });
        await a.podIp.reserve([]);
      } finally {
        sh(`mv ${conf}.away ${conf}`);
      }
    });
  },
);
