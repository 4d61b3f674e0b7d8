// SPDX-License-Identifier: Apache-2.0
// The native part's cluster on this machine: a real API server and etcd, the operator, and nodes `a` and `b`, each with PID,
// mount, UTS and network namespaces of its own, a bridge between them, and the real agent. All ends with this process.
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { openSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { agentDnsName, annotations, labels } from '../../crds/src/index.ts';
import { Informer, nodes, pods, silent, type Client, type Pod } from '../../kube/src/index.ts';
import { startApiServer, type TestServer } from '../../kube/testing/api-server.ts';
import { runHere } from '../../node-agent/src/node/host/host.ts';
import { certificates } from '../../node-agent/src/testing/certificates.ts';
import { measuredCheckout } from './checkout.ts';
import type { NodeOptions } from './node.ts';
import { Peer } from './rpc.ts';

const CONTROL = '10.88.0.1';
export const ADDRESSES = { a: '10.88.0.11', b: '10.88.0.12' } as const;
export type NodeName = keyof typeof ADDRESSES;
/** The agents' image receivers. */
const PORT = 7460;

export interface ClusterOptions {
  /** Directory on the disk, emptied first. */
  readonly directory: string;
  /** The programs of /opt/sealift. */
  readonly bundle: string;
  /** Directory with the image's files. */
  readonly image: string;
  readonly memoryMiB: number;
}

/** With a bundle's own /run and /opt: the paths on a node are fixed. */
const INIT = `
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /opt
mkdir -p /run/netns /run/sealift /opt/sealift
mount --bind "$1" /opt/sealift
ip link set lo up
"$2" "$3" &
wait
`;

export class NativeCluster {
  readonly server: TestServer;
  readonly nodes: Readonly<Record<NodeName, Peer>>;
  readonly directory: string;
  readonly #processes: ChildProcess[];
  readonly #stop = new AbortController();

  private constructor(parts: {
    server: TestServer;
    nodes: Record<NodeName, Peer>;
    directory: string;
    processes: ChildProcess[];
  }) {
    this.server = parts.server;
    this.nodes = parts.nodes;
    this.directory = parts.directory;
    this.#processes = parts.processes;
  }

  get client(): Client {
    return this.server.client;
  }

  /** Files to which agents and operator append their API requests. */
  get spanFiles(): string[] {
    return ['a', 'b', 'operator'].map((name) => join(this.directory, `${name}.spans`));
  }

  /** Needs a network namespace of its own, with nothing in it. */
  static async start(options: ClusterOptions): Promise<NativeCluster> {
    const { directory } = options;
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    await makeNetwork();
    const server = await startApiServer({ address: CONTROL, isDurable: true });
    const kubeconfig = join(directory, 'kubeconfig');
    await cp(server.kubeconfig, kubeconfig);
    const processes: ChildProcess[] = [];
    const cluster = new NativeCluster({
      ...{ server, directory, processes },
      nodes: {
        a: await startNode('a', options, kubeconfig, processes),
        b: await startNode('b', options, kubeconfig, processes),
      },
    });
    for (const name of ['a', 'b'] as const) await cluster.#addNode(name);
    const log = openSync(join(directory, 'operator.log'), 'a');
    processes.push(
      spawn(
        'setpriv',
        [
          '--pdeathsig',
          'KILL',
          process.execPath,
          join(measuredCheckout, 'bench/native/operator.ts'),
        ],
        {
          stdio: ['ignore', log, log],
          env: {
            ...process.env,
            KUBECONFIG: kubeconfig,
            BENCH_SPANS: join(directory, 'operator.spans'),
          },
        },
      ),
    );
    cluster.#schedule();
    return cluster;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const one of this.#processes) one.kill('SIGKILL');
    await this.server.stop();
  }

  async #addNode(name: NodeName): Promise<void> {
    await this.client.create(nodes, '', {
      metadata: {
        name,
        // No pod of this part has RDMA devices, so nothing asks which driver there is.
        labels: { [labels.driverAbi]: 'none' },
        annotations: { [annotations.agentAddress]: `${ADDRESSES[name]}:${PORT}` },
      },
    });
    const at = new Date().toISOString();
    const status = { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: at }] };
    await this.client.merge(nodes, '', name, { status }, { subresource: 'status' });
    await this.client.merge(nodes, '', name, { spec: { taints: null } });
    await this.nodes[name].call('startAgent');
  }

  /** Binds the pods that the operator makes to the node that they name, as the scheduler does. */
  #schedule(): void {
    const unbound = new Informer({ api: this.client, resource: pods, log: silent });
    const begun = new Set<string>();
    unbound.listen((_key, pod) => {
      if (!pod || pod.spec.nodeName || begun.has(pod.metadata.uid)) return;
      begun.add(pod.metadata.uid);
      void this.#bind(pod);
    });
    void unbound.run(this.#stop.signal);
  }

  async #bind({ metadata }: Pod): Promise<void> {
    const { namespace = 'default', name } = metadata;
    await this.client.rest.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/binding`,
      body: { metadata: { name }, target: { kind: 'Node', name: 'b' } },
    });
  }
}

/** A bridge with the API server's address, and a cable to each node. */
async function makeNetwork(): Promise<void> {
  const lines = [
    'ip link set lo up',
    'ip link add bench0 type bridge',
    `ip addr add ${CONTROL}/24 dev bench0`,
    'ip link set bench0 up',
    ...Object.entries(ADDRESSES).flatMap(([name, address]) => [
      `ip netns add node-${name}`,
      `ip link add node-${name} master bench0 type veth peer name eth0 netns node-${name}`,
      `ip link set node-${name} up`,
      `ip -n node-${name} addr add ${address}/24 dev eth0`,
      `ip -n node-${name} link set eth0 up`,
    ]),
  ];
  await runHere('sh', ['-ec', lines.join('\n')]);
}

async function startNode(
  name: NodeName,
  { directory, bundle, image, memoryMiB }: ClusterOptions,
  kubeconfig: string,
  processes: ChildProcess[],
): Promise<Peer> {
  const own = join(directory, `node-${name}`);
  await mkdir(join(own, 'state'), { recursive: true });
  await mkdir(join(own, 'layers'), { recursive: true });
  // execPath and execArgv are the program that is forked: `ip netns exec` instead of Node.js.
  const child = fork(join(import.meta.dirname, 'node.ts'), [], {
    execPath: 'ip',
    execArgv: [
      ...['netns', 'exec', `node-${name}`, 'unshare', '--mount', '--pid', '--uts', '--fork'],
      ...['--kill-child=KILL', '--propagation', 'private', 'bash', '-euc', INIT],
      ...[`node-${name}`, bundle, process.execPath],
    ],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  processes.push(child);
  const peer = new Peer(child, `node ${name}`);
  await peer.ready;
  const options: NodeOptions = {
    ...{ name, address: ADDRESSES[name], directory: own, image, kubeconfig, memoryMiB },
    certificates: await certificates(directory, { ca: 'ca', san: agentDnsName(name) }),
    spans: join(directory, `${name}.spans`),
  };
  await peer.call('start', options);
  return peer;
}
