// SPDX-License-Identifier: Apache-2.0
// A pod's address and its TCP connections move between nodes that are network namespaces: the real plugins, the real
// delegate, real routes. The sockets move by TCP_REPAIR, as CRIU moves them.
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { able, sh, works } from '../../testing/namespaces.ts';
import {
  hasPlugins,
  TestCluster,
  type Endpoint,
  type TestNode,
  type TestPod,
} from '../../testing/pod-network.ts';

const PORT = '7000';

describe.runIf(able && hasPlugins).each(['bridge', 'ptp'] as const)(
  'a pod on CNI plugin %s',
  (type) => {
    const prefix = `sp${type[0] ?? ''}${process.pid % 100_000}`;
    let cluster: TestCluster;
    const pods: { pod: TestPod; node: TestNode; moved: boolean }[] = [];
    const all = () => cluster.nodes;

    beforeAll(async () => {
      cluster = new TestCluster(prefix, type);
      await cluster.open();
    });
    afterAll(async () => {
      await cluster.close();
    });
    afterEach(async () => {
      await cluster.endEndpoints();
      for (const { pod, node, moved } of pods.splice(0)) await node.deletePod(pod, moved);
      const [first] = all();
      await cluster.route(undefined, first);
      for (const node of all()) await node.podIp.release(() => false);
    }, 30_000);

    let count = 0;
    async function add(node: TestNode): Promise<TestPod> {
      const pod = await node.addPod(`${prefix}p${++count}`);
      pods.push({ pod, node, moved: false });
      return pod;
    }

    async function addTarget(node: TestNode, source: TestPod): Promise<TestPod> {
      const pod = await node.addMoved(`${prefix}p${++count}`, [source.address]);
      pods.push({ pod, node, moved: true });
      return pod;
    }

    async function remove(pod: TestPod): Promise<void> {
      const at = pods.findIndex((one) => one.pod === pod);
      const [found] = pods.splice(at, 1);
      await found?.node.deletePod(pod, found.moved);
    }

    /** From the lock to the resume, in the order of docs/protocol.md. */
    async function move(pod: TestPod, server: Endpoint, from: TestNode, to: TestNode) {
      const target = await addTarget(to, pod);
      await from.podIp.reserve([pod.address]);
      await from.lock.lock(pod.netns, 'roce');
      const state = cluster.file(`state-${pod.address}`);
      server.child.kill('SIGUSR1');
      await once(server.child, 'close');
      const restored = await cluster.start(target.name, 'resume', state);
      await to.lock.lock(target.netns, 'roce');
      await from.lock.lock(pod.netns, 'total');
      await cluster.route(target, to);
      await to.lock.unlock(target.netns);
      return { target, restored };
    }

    const serve = (pod: TestPod): Promise<Endpoint> =>
      cluster.start(pod.name, 'serve', pod.address, PORT, cluster.file(`state-${pod.address}`));

    it('keeps its address and its connection, whoever is at the other end', async () => {
      const [a, b, c] = all();
      const peers = [await add(a), await add(b), await add(c)].map((one) => one.name);
      for (const peer of [...peers, a.name, b.name, c.name]) {
        const source = await add(a);
        const server = await serve(source);
        const client = await cluster.start(peer, 'talk', source.address, PORT);
        expect(await client.say('before')).toBe('before');
        const { target, restored } = await move(source, server, a, b);
        expect(target.address).toBe(source.address);
        const began = performance.now();
        expect(await client.say(`${peer} after`)).toBe(`${peer} after`);
        expect(performance.now() - began).toBeLessThan(5000);
        client.child.kill('SIGKILL');
        restored.child.kill('SIGKILL');
        await remove(source);
        await remove(target);
        await cluster.route(undefined, a);
        await a.podIp.release(() => false);
      }
    }, 300_000);

    it('moves three times, the last one home, with one connection', async () => {
      const [a, b, c] = all();
      // On the link of the pod's first node, and on its second node.
      for (const peer of [(await add(a)).name, b.name]) {
        const source = await add(a);
        let [pod, server] = [source, await serve(source)];
        const client = await cluster.start(peer, 'talk', pod.address, PORT);
        let at = a;
        for (const to of [b, c, a]) {
          expect(await client.say(`from ${at.name}`)).toBe(`from ${at.name}`);
          const moved = await move(pod, server, at, to);
          await remove(pod);
          [pod, server, at] = [moved.target, moved.restored, to];
          expect(await client.say(`on ${to.name}`)).toBe(`on ${to.name}`);
        }
        expect(pod.address).toBe(source.address);
        client.child.kill('SIGKILL');
        server.child.kill('SIGKILL');
        await remove(pod);
        await cluster.route(undefined, a);
        await a.podIp.release(() => false);
      }
    }, 300_000);

    it('answers only as the source until the decision, and an abort leaves nothing', async () => {
      const [a, b, c] = all();
      const peer = await add(c);
      const source = await add(a);
      const before = all().map(stateOf);
      const server = await serve(source);
      const client = await cluster.start(peer.name, 'talk', source.address, PORT);
      const target = await addTarget(b, source);
      expect(sh(`ip -n ${target.name} -4 addr show eth0`)).toContain(`${source.address}/32`);
      await a.podIp.reserve([source.address]);
      expect(await client.say('the source')).toBe('the source');
      // Peers on the target's node too.
      expect(works(`ip netns exec ${b.name} ping -c1 -W2 ${source.address}`)).toBe(true);
      await remove(target);
      await a.podIp.release(() => false);
      expect(all().map(stateOf)).toEqual(before);
      expect(await client.say('still the source')).toBe('still the source');
      client.child.kill('SIGKILL');
      server.child.kill('SIGKILL');
      // The plugin releases the address of a pod that stayed.
      await remove(source);
      expect(a.records()).not.toContain(source.address);
    }, 60_000);

    it('keeps the address from other pods of its first node until it is gone', async () => {
      const [a, b] = all();
      const source = await add(a);
      const server = await serve(source);
      const client = await cluster.start(b.name, 'talk', source.address, PORT);
      const { target, restored } = await move(source, server, a, b);
      await remove(source);
      expect(a.records()).toContain(source.address);
      await a.podIp.release((address) => address === source.address);
      expect(a.records()).toContain(source.address);
      // An agent that was away finds no record, and makes one.
      sh(`rm ${a.dir}/ipam/pods/${source.address}`);
      expect(await a.podIp.reserveMissing([source.address, '10.88.2.77'])).toEqual([]);
      expect(a.records()).toContain(source.address);
      expect(b.records()).not.toContain('10.88.2.77');
      expect(await client.say('x')).toBe('x');
      client.child.kill('SIGKILL');
      restored.child.kill('SIGKILL');
      await remove(target);
      await cluster.route(undefined, a);
      await a.podIp.release(() => false);
      expect(a.records()).not.toContain(source.address);
      expect(
        all().map((node) =>
          sh(`ip -n ${node.name} route show table 7460; ip -n ${node.name} neigh show proxy`),
        ),
      ).toEqual(['', '', '']);
    }, 60_000);

    /** A bridge without a port has its routes marked; that is all that may differ. */
    const stateOf = (node: TestNode): string =>
      sh(`ip -n ${node.name} -4 route show table all | sed 's/ linkdown//; s/ *$//'
      ip -n ${node.name} rule; ip -n ${node.name} neigh show proxy
      cat ${node.dir}/ipam/pods/10.* 2>/dev/null || true`);
  },
);
