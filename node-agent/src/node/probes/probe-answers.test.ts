// SPDX-License-Identifier: Apache-2.0
// Probes of a locked pod in real network namespaces: `node` has the kubelet and the agent, `pod` has the lock and an
// application that says whom it has accepted, `v0` and `eth0` are the veth pair between them.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Pod } from '../../../../kube/src/index.ts';
import { interfaceInfo, nft } from '../../../../native/addon/index.ts';
import { certificates } from '../../testing/certificates.ts';
import type { KubeletProbe } from '../../testing/kubelet-probes.ts';
import { able, netnsPath, sh, works } from '../../testing/namespaces.ts';
import { NetworkLock } from '../lock/network-lock.ts';
import { ProbeAnswers, type ProbedPod } from './probe-answers.ts';

const run = promisify(execFile);
const file = (name: string) => fileURLToPath(new URL(`../../testing/${name}`, import.meta.url));
const [node, pod] = [`slt-n${process.pid}`, `slt-o${process.pid}`];
const [V4, V6] = ['10.9.6.2', 'fd00:66::2'];
/** Probed: 8001 to 8004. Not probed: 8005. The application listens on each. */
const [TCP, HTTP, HTTPS, GRPC, OTHER] = [8001, 8002, 8003, 8004, 8005];
/** Probed, and answered after a second. */
const SLOW = 8006;
const probed: ProbedPod = {
  addresses: [V4, V6],
  ports: [TCP, HTTP, HTTPS, GRPC],
  userAgents: ['mine/1'],
};

/** Listens on each port and prints the port of every connection that it gets. */
const APPLICATION = `import select, socket, threading, time
slow = socket.create_server(("::", 8006), family=socket.AF_INET6, dualstack_ipv6=True)
def answer():
  while True:
    one, _ = slow.accept(); one.recv(4096); print("asked", flush=True); time.sleep(1)
    one.send(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n"); one.close()
threading.Thread(target=answer, daemon=True).start()
servers = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in range(8001, 8006)]
print("ready", flush=True)
while True:
  for server in select.select(servers, [], [])[0]:
    server.accept(); print(server.getsockname()[1], flush=True)`;

const kernelRedirects =
  able &&
  works(`ip netns add ${node}; trap 'ip netns del ${node}' EXIT
    ip netns exec ${node} nft 'table inet x { set s { typeof ip daddr . tcp dport; timeout 9s; }
      chain y { type nat hook output priority -101; tcp dport 1 meta skuid 0 redirect to :2; }; }'`);

// Without python3 there is no application; without nft_redir the agent refuses to lock a pod with probes.
describe.runIf(kernelRedirects && works('command -v python3 && command -v openssl'))(
  'network probes of a locked pod',
  () => {
    const lock = new NetworkLock(nft);
    const netns = netnsPath(pod);
    const directory = mkdtempSync(join(tmpdir(), 'sealift-probes-'));
    const accepted: string[] = [];
    let application: ChildProcess;
    let agent: ChildProcess;
    let lines: Interface;

    const within = (name: string, ...args: string[]) => ['netns', 'exec', name, ...args];
    const rules = () => sh(`ip netns exec ${node} nft list tables`);
    const sockets = () => sh(`ip netns exec ${pod} ss -Htan state all | grep -v LISTEN || true`);

    async function startAgent(): Promise<void> {
      const dir = await certificates(directory, { ca: 'ca', san: 'sealift-agent' });
      agent = spawn('ip', within(node, process.execPath, file('probe-node.ts'), dir), {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      lines = createInterface({ input: agent.stdout! });
    }
    async function answerFor(...pods: ProbedPod[]): Promise<void> {
      agent.stdin!.write(`${JSON.stringify(pods)}\n`);
      expect(await once(lines, 'line')).toEqual(['in place']);
    }
    async function probe(...probes: KubeletProbe[]): Promise<string[]> {
      const args = within(
        node,
        process.execPath,
        file('kubelet-probes.ts'),
        JSON.stringify(probes),
      );
      return JSON.parse((await run('ip', args)).stdout) as string[];
    }
    const every = (address: string): KubeletProbe[] => [
      { kind: 'tcp', address, port: TCP },
      { kind: 'http', address, port: HTTP },
      { kind: 'https', address, port: HTTPS },
      { kind: 'grpc', address, port: GRPC },
    ];

    beforeAll(async () => {
      sh(`ip netns add ${node}; ip netns add ${pod}
        ip -n ${node} link add v0 type veth peer name eth0 netns ${pod}
        ip -n ${node} link set lo up; ip -n ${pod} link set lo up
        ip -n ${node} link set v0 up; ip -n ${pod} link set eth0 up
        ip -n ${node} addr add 10.9.6.1/24 dev v0; ip -n ${node} addr add fd00:66::1/64 dev v0 nodad
        ip -n ${pod} addr add ${V4}/24 dev eth0; ip -n ${pod} addr add ${V6}/64 dev eth0 nodad`);
      application = spawn('ip', within(pod, 'python3', '-c', APPLICATION), {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const said = createInterface({ input: application.stdout! });
      await once(said, 'line');
      said.on('line', (port) => accepted.push(port));
      await startAgent();
    }, 60_000);
    afterAll(() => {
      for (const child of [agent, application]) child.kill('SIGKILL');
      sh(`ip netns del ${node}; ip netns del ${pod}`);
      rmSync(directory, { recursive: true });
    });
    afterEach(async () => {
      await lock.unlock(netns);
    });

    it('are described by ports and by the addresses in the cluster’s network', async () => {
      const log = { warn: () => undefined };
      const certificate = () => Promise.reject(new Error());
      const answers = new ProbeAnswers({ nft, interfaceInfo, certificate, log });
      const described = (livenessProbe: object) =>
        Pod.parse({
          metadata: { name: 'app', namespace: 'default', uid: 'u' },
          spec: { containers: [{ name: 'main', livenessProbe }] },
        });
      expect(await answers.probesOf(netns, described({ tcpSocket: { port: TCP } }))).toEqual({
        ...{ addresses: [V4, V6], ports: [TCP], userAgents: [] },
      });
      expect(await answers.probesOf('/nowhere', described({ exec: {} }))).toBeUndefined();
    });

    it('reach the application before, and fail under a lock if the agent does not answer', async () => {
      const [direct] = await probe({ kind: 'tcp', address: V4, port: TCP });
      expect(direct).toBe('success');
      await expect.poll(() => accepted.splice(0)).toEqual([String(TCP)]);
      await lock.lock(netns, 'roce');
      expect(await probe(...every(V4))).not.toContain('success');
    }, 60_000);

    it.each(['roce', 'total'] as const)(
      'succeed under a %s lock, and the pod sees nothing of them',
      async (kind) => {
        await answerFor(probed);
        await lock.lock(netns, kind);
        const before = sockets();
        const all = [...every(V4), ...every(V6)];
        expect(await probe(...all)).toEqual(all.map(() => 'success'));
        expect(await probe({ kind: 'http', address: V4, port: HTTP, userAgent: 'mine/1' })).toEqual(
          ['success'],
        );
        expect([accepted, sockets()]).toEqual([[], before]);
      },
      60_000,
    );

    it('that the pod is answering at the lock get that answer', async () => {
      const under = probe({ kind: 'http', address: V4, port: SLOW });
      await expect.poll(() => accepted.splice(0), { timeout: 10_000 }).toEqual(['asked']);
      await answerFor({ ...probed, ports: [SLOW], timeoutMs: 3000 });
      await lock.lock(netns, 'roce');
      expect(await under).toEqual(['success']);
    }, 60_000);

    it('are all that is answered: no other port, no other process, no other user', async () => {
      await answerFor(probed);
      await lock.lock(netns, 'roce');
      const results = await probe(
        { kind: 'tcp', address: V4, port: OTHER },
        { kind: 'http', address: V4, port: HTTP, userAgent: 'curl/8' },
        { kind: 'grpc', address: V4, port: GRPC, userAgent: 'grpc-go/1.72.2' },
        { kind: 'tcp', address: V4, port: TCP, uid: 65534 },
      );
      expect(results.filter((one) => one === 'success')).toEqual([]);
      expect(accepted).toEqual([]);
    }, 60_000);

    it('reach the application again after the unlock, and nothing is left', async () => {
      await answerFor(probed);
      await lock.lock(netns, 'total');
      await probe(...every(V4));
      await lock.unlock(netns);
      await answerFor();
      expect(await probe({ kind: 'tcp', address: V4, port: TCP })).toEqual(['success']);
      await expect.poll(() => accepted.splice(0)).toEqual([String(TCP)]);
      expect(sh(`ip netns exec ${node} nft list sets`)).not.toContain('elements');
      // A new agent removes what one that was killed has left.
      await answerFor(probed);
      agent.kill('SIGKILL');
      await once(agent, 'close');
      expect(rules()).toContain('sealift_probes');
      await startAgent();
      await expect.poll(rules, { timeout: 20_000 }).not.toContain('sealift_probes');
    }, 60_000);

    it('are not answered for a namespace that is gone, whose addresses another pod may have', async () => {
      await answerFor({ ...probed, netns: netnsPath('slt-gone') });
      expect(sh(`ip netns exec ${node} nft list sets`)).not.toContain('elements');
    });

    it('are answered no longer once the agent has ended', async () => {
      await answerFor(probed);
      agent.stdin!.end();
      await once(agent, 'close');
      expect(rules()).not.toContain('sealift_probes');
    }, 60_000);
  },
);
