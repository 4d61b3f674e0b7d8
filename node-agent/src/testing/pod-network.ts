// SPDX-License-Identifier: Apache-2.0
// For tests: a cluster's network in namespaces of this machine. Three nodes on a switch, as the lab's; their pods are made
// by the real CNI plugins, those that keep an address through the real delegate and its real socket.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { annotations, labels } from '../../../crds/src/index.ts';
import { pods, type Pod } from '../../../kube/src/index.ts';
import { nft } from '../../../native/addon/index.ts';
import { PodNetworkHandler } from '../callers/pod-network-handler.ts';
import { SocketServer } from '../callers/socket/server.ts';
import { Host } from '../node/host/host.ts';
import { NetworkLock } from '../node/lock/network-lock.ts';
import { PodIp } from '../node/pod-ip/pod-ip.ts';
import { BUNDLES, RUNC_ROOT } from '../node/runtime/containers.ts';
import type { Journal } from '../support/journal/journal.ts';
import { netnsPath, sh } from './namespaces.ts';

const checkout = (path: string): string =>
  fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const SHIM = checkout('build/native/sealift-shim');
const MOVE_SOCKET = checkout('node-agent/src/testing/move-socket.py');

/** Where bridge, ptp and host-local are: SEALIFT_CNI_PLUGINS, the lab's node, this machine. */
const pluginDir = [
  process.env['SEALIFT_CNI_PLUGINS'] ?? '',
  ...globSync(checkout('build/lab/cache/node-tree-*/usr/lib/cni')),
  ...['/usr/lib/cni', '/opt/cni/bin'],
].find((dir) => existsSync(join(dir, 'bridge')) && existsSync(join(dir, 'host-local')));

export const hasPlugins: boolean = pluginDir !== undefined && existsSync(SHIM);

export type PluginType = 'bridge' | 'ptp';

/** Files of the node are below the directory of the test. The plugins' own path of IPAM's records is the same on both sides. */
class NodeHost extends Host {
  readonly #dir: string;
  constructor(dir: string) {
    super({ root: '/' });
    this.#dir = dir;
  }
  override path(onHost: string): string {
    const isShared = onHost.startsWith(this.#dir) || onHost.startsWith(netnsPath(''));
    return isShared ? onHost : join(this.#dir, onHost);
  }
}

export interface TestPod {
  readonly name: string;
  readonly uid: string;
  readonly netns: string;
  /** IPv4. */
  readonly address: string;
  /** All of them. */
  readonly addresses: readonly string[];
}

export class TestNode {
  readonly name: string;
  readonly number: number;
  readonly dir: string;
  readonly netns: string;
  readonly podIp: PodIp;
  readonly host: Host;
  readonly conf: object;
  readonly lock = new NetworkLock(nft);
  readonly #server: SocketServer;
  /** What the delegate's pods are to the API server, by UID. */
  readonly #described = new Map<string, { pod: Pod; addresses: string[]; isUndecided: boolean }>();

  constructor(prefix: string, number: number, dir: string, type: PluginType, isDual: boolean) {
    this.name = `${prefix}n${number}`;
    this.number = number;
    this.dir = join(dir, this.name);
    this.netns = netnsPath(this.name);
    this.host = new NodeHost(this.dir);
    mkdirSync(this.host.path('/etc/cni/net.d'), { recursive: true });
    const plugin =
      type === 'bridge' ? { type, bridge: 'cni0', isGateway: true } : { type, ipMasq: false };
    this.conf = {
      ...{ cniVersion: '1.0.0', name: 'pods', ...plugin },
      ipam: {
        type: 'host-local',
        ranges: [
          [{ subnet: `10.88.${number}.0/24` }],
          ...(isDual ? [[{ subnet: `fd88:0:0:${number}::/64` }]] : []),
        ],
        routes: [{ dst: '0.0.0.0/0' }, ...(isDual ? [{ dst: '::/0' }] : [])],
        dataDir: join(this.dir, 'ipam'),
      },
    };
    const multus = { cniVersion: '1.0.0', name: 'multus', type: 'multus', delegates: [this.conf] };
    writeFileSync(this.host.path('/etc/cni/net.d/00-multus.conf'), JSON.stringify(multus));
    mkdirSync(join(this.dir, 'bin'));
    symlinkSync(SHIM, join(this.dir, 'bin/sealift'));
    this.podIp = new PodIp({ host: this.host, netns: this.netns });
    this.#server = this.#serve();
  }

  listen(): Promise<unknown> {
    return this.#server.listen(join(this.dir, 'agent.sock'));
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  /** A pod as the runtime makes one: the cluster's plugin, called directly. */
  async addPod(name: string): Promise<TestPod> {
    const netns = this.#newNetns(name);
    const result = await this.#cni(
      'ADD',
      name,
      join(pluginDir ?? '', (this.conf as { type: string }).type),
      this.conf,
    );
    return this.#started(name, netns, result);
  }

  /**
   * A pod that keeps addresses, through the delegate.
   * @param isUndecided its request has no decision: it is locked
   */
  async addMoved(name: string, addresses: string[], isUndecided = true): Promise<TestPod> {
    const uid = `uid-${name}`;
    const pod = pods.parse({
      metadata: {
        name,
        namespace: 'test',
        uid,
        labels: { [labels.podIp]: 'kept' },
        annotations: { [annotations.requestUid]: `request-${name}` },
      },
      spec: {},
    });
    this.#described.set(uid, { pod, addresses, isUndecided });
    const netns = this.#newNetns(name);
    const result = await this.#cni('ADD', name, join(this.dir, 'bin/sealift'), DELEGATE);
    return this.#started(name, netns, result);
  }

  /** @param viaDelegate whether it was made by `addMoved` */
  async deletePod({ name }: TestPod, viaDelegate: boolean): Promise<void> {
    const plugin = join(pluginDir ?? '', (this.conf as { type: string }).type);
    if (viaDelegate) await this.#cni('DEL', name, join(this.dir, 'bin/sealift'), DELEGATE);
    else await this.#cni('DEL', name, plugin, this.conf);
    this.removeContainer(name, `${name}-main`, name);
    sh(`ip netns del ${name}`);
  }

  /** What containerd and runc have of a pod's containers, or what a boot leaves of them. */
  removeContainer(...ids: string[]): void {
    for (const id of ids)
      for (const dir of [BUNDLES, RUNC_ROOT])
        rmSync(this.host.path(join(dir, id)), { recursive: true, force: true });
  }

  records(): string[] {
    return sh(`ls ${join(this.dir, 'ipam/pods')}`)
      .split('\n')
      .filter((one) => one.startsWith('10.88.'));
  }

  #newNetns(name: string): string {
    sh(`ip netns add ${name}; ip -n ${name} link set lo up`);
    return netnsPath(name);
  }

  #started(name: string, netns: string, result: { ips: { address: string }[] }): TestPod {
    const uid = `uid-${name}`;
    const cri = {
      'io.kubernetes.cri.sandbox-id': name,
      'io.kubernetes.cri.sandbox-uid': uid,
      'io.kubernetes.cri.container-name': 'main',
    };
    for (const [id, type] of [
      [name, 'sandbox'],
      [`${name}-main`, 'container'],
    ] as const) {
      const bundle = this.host.path(join(BUNDLES, id));
      const state = this.host.path(join(RUNC_ROOT, id));
      mkdirSync(bundle, { recursive: true });
      mkdirSync(state, { recursive: true });
      const annotations = { ...cri, 'io.kubernetes.cri.container-type': type };
      const namespaces = [{ type: 'network', path: netns }];
      const spec = { ociVersion: '1.1.0', annotations, linux: { namespaces } };
      writeFileSync(join(bundle, 'config.json'), JSON.stringify(spec));
      writeFileSync(join(state, 'state.json'), JSON.stringify({ init_process_pid: process.pid }));
    }
    const addresses = result.ips.map((one) => one.address.replace(/\/.*/, ''));
    return { name, uid, netns, address: addresses[0] ?? '', addresses };
  }

  async #cni(
    command: string,
    name: string,
    plugin: string,
    conf: object,
  ): Promise<{ ips: { address: string }[] }> {
    const env = {
      PATH: process.env['PATH'] ?? '',
      CNI_COMMAND: command,
      CNI_CONTAINERID: name,
      CNI_NETNS: netnsPath(name),
      CNI_IFNAME: 'eth0',
      CNI_PATH: pluginDir ?? '',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=test;K8S_POD_NAME=${name};K8S_POD_UID=uid-${name}`,
      SEALIFT_SOCKET: join(this.dir, 'agent.sock'),
      SEALIFT_CNI_STATE: join(this.dir, 'cni-state'),
    };
    // In a process of its own: this one serves the socket meanwhile.
    const child = spawn('ip', ['netns', 'exec', this.name, plugin], { env });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stdin.end(JSON.stringify(conf));
    const [status] = (await once(child, 'close')) as [number];
    if (status !== 0) throw new Error(`${command} ${name}: ${out}`);
    return out === '' ? { ips: [] } : (JSON.parse(out) as { ips: { address: string }[] });
  }

  #serve(): SocketServer {
    const find = (uid: string) => this.#described.get(uid);
    const lookup = {
      getPod: async ({ podUid }: { podUid: string }) =>
        find(podUid)?.pod ?? pods.parse({ metadata: { name: 'x' }, spec: {} }),
      targetRequest: async ({ metadata }: Pod) => {
        const found = find(metadata.uid);
        const podIPs = found?.addresses.map((ip) => ({ ip }));
        const status = {
          target: { nodeName: this.name, podIPs },
          ...(found?.isUndecided ? {} : COMMITTED),
        };
        return {
          kind: 'MigrationRequest',
          key: 'test/r',
          request: { metadata: { uid: 'request' }, status },
        };
      },
    };
    const handler = new PodNetworkHandler({
      ...{ host: new Host({ root: '/' }), lock: this.lock, podIp: this.podIp },
      journal: { get: () => undefined, all: () => [] } as unknown as Journal,
      pods: lookup as unknown as ConstructorParameters<typeof PodNetworkHandler>[0]['pods'],
      recordPreparing: async () => undefined,
    });
    const refuse = () => Promise.reject(new Error('not in this test'));
    return new SocketServer(
      { create: refuse, gate: refuse, cni: (request) => handler.handle(request) },
      pino({ level: 'silent' }),
    );
  }
}

const COMMITTED = { decision: { outcome: 'Committed' }, completionTime: '2026-01-01T00:00:00Z' };

const DELEGATE = { cniVersion: '1.0.0', name: 'sealift-pods', type: 'sealift', podNetwork: true };

/** Three nodes on a switch, each with routes to the others' pods; `close` takes all of it away. */
export class TestCluster {
  readonly nodes: readonly [TestNode, TestNode, TestNode];
  readonly #prefix: string;
  readonly #dir = mkdtempSync(join(tmpdir(), 'sealift-pods-'));
  readonly #children = new Set<ChildProcess>();

  /** @param isDual pods have IPv6 addresses beside the IPv4 ones */
  constructor(prefix: string, type: PluginType, isDual = false) {
    this.#prefix = prefix;
    const node = (number: number): TestNode =>
      new TestNode(prefix, number, this.#dir, type, isDual);
    sh(
      `ip netns add ${prefix}sw; ip -n ${prefix}sw link add br0 type bridge; ip -n ${prefix}sw link set br0 up`,
    );
    this.nodes = [node(1), node(2), node(3)];
    for (const { name, number } of this.nodes) {
      sh(`ip netns add ${name}; ip -n ${name} link set lo up
        ip netns exec ${name} sysctl -qw net.ipv4.ip_forward=1
        ip -n ${name} link add eth0 type veth peer name p${number} netns ${prefix}sw
        ip -n ${prefix}sw link set p${number} master br0 up
        ip -n ${name} addr add 10.77.0.1${number}/24 dev eth0; ip -n ${name} link set eth0 up
        ip netns exec ${name} sysctl -qw net.ipv6.conf.all.forwarding=1
        ip -n ${name} addr add fd77::1${number}/64 dev eth0 nodad`);
    }
    for (const { name, number } of this.nodes) {
      for (const other of this.nodes) {
        if (other.number === number) continue;
        sh(`ip -n ${name} route add 10.88.${other.number}.0/24 via 10.77.0.1${other.number}
          ip -n ${name} route add fd88:0:0:${other.number}::/64 via fd77::1${other.number}`);
      }
    }
  }

  async open(): Promise<void> {
    for (const node of this.nodes) await node.listen();
  }

  /** What the agents do when the decision is known: each node routes the pod's address. */
  async route(pod: TestPod | undefined, on: TestNode): Promise<void> {
    for (const node of this.nodes) {
      const { addresses = [], uid: podUid = '' } = pod ?? {};
      const here = pod && node === on ? [{ podUid, addresses }] : [];
      const via = (address: string): string =>
        address.includes(':') ? `fd77::1${on.number}` : `10.77.0.1${on.number}`;
      const elsewhere =
        pod && node !== on ? addresses.map((address) => ({ address, via: via(address) })) : [];
      await node.podIp.route({ here, elsewhere, unknown: [] });
    }
  }

  /** A part of the TCP endpoints in a namespace: `serve`, `resume` or `talk`, and its arguments. Waits until it is ready. */
  async start(netns: string, ...args: string[]): Promise<Endpoint> {
    const child = spawn('ip', ['netns', 'exec', netns, 'python3', MOVE_SOCKET, ...args]);
    this.#children.add(child);
    const endpoint = new Endpoint(child);
    await endpoint.line();
    return endpoint;
  }

  file(name: string): string {
    return join(this.#dir, name);
  }

  async endEndpoints(): Promise<void> {
    for (const child of this.#children) {
      this.#children.delete(child);
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  }

  async close(): Promise<void> {
    await this.endEndpoints();
    for (const node of this.nodes) await node.close();
    sh(
      `for ns in $(ip netns list | cut -d' ' -f1 | grep '^${this.#prefix}'); do ip netns del $ns; done`,
    );
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

export class Endpoint {
  readonly child: ChildProcess;
  #text = '';
  #errors = '';

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on('data', (chunk: Buffer) => (this.#text += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
  }

  /** The next line that it prints. */
  async line(ms = 15_000): Promise<string> {
    const end = performance.now() + ms;
    while (!this.#text.includes('\n')) {
      const hasEnded = this.child.exitCode !== null || this.child.signalCode !== null;
      if (performance.now() > end || hasEnded)
        throw new Error(`no line: ${this.#errors || 'silence'}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const [line = '', ...rest] = this.#text.split('\n');
    this.#text = rest.join('\n');
    return line;
  }

  /** @returns what comes back */
  async say(text: string): Promise<string> {
    this.child.stdin?.write(`${text}\n`);
    return this.line();
  }
}
