// SPDX-License-Identifier: Apache-2.0
// Pods that have changed the addresses of their fabric interface themselves, in another order than their network gives them.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectMoveFails } from '../src/checks.ts';
import { move } from '../src/move.ts';
import { Pair, type Endpoint } from '../src/pair.ts';
import { execInPod, IDLE, newAddress, startPod, waitUntilPodEnded } from '../src/pods.ts';
import { RUN_SECONDS } from '../src/run-time.ts';
import { NotReachedError, sleepSeconds, until } from '../src/wait.ts';

const INTERFACE = 'net1';
/** Each index has a test of its own, on a port of its own. */
const TESTS = [
  { index: 3, port: 18515, what: 'an IPv6 ULA' },
  { index: 5, port: 18516, what: 'the address that the network has given' },
];
/** Indexes that have an address in the end, by the changes below: 0 is the MAC address's, 2 a hole. */
const INDEXES = [0, 1, 3, 4, 5];

/** What the container does to its interface before it opens the device. The network has given `address` index 1. */
function changes(address: string): string[] {
  const number = address.split('.').at(-1) ?? '';
  const ip = (what: string): string => `ip addr ${what} dev ${INTERFACE}`;
  return [
    ip(`add 10.98.0.${number}/24`),
    ip(`add fd99::${number}/64`),
    ip(`add 10.97.0.${number}/24`),
    // Its place is taken by an address that comes later, and it comes back behind all others.
    ip(`del ${address}/24`),
    ip(`add 10.96.0.${number}/24`),
    ip(`add ${address}/24`),
    ip(`del 10.98.0.${number}/24`),
    // Until duplicate address detection has ended.
    'sleep 4',
  ];
}

/** Indexes with their addresses, and the interface's addresses with its routes, as the pod sees them. */
const TABLE =
  "ibv_devinfo -v | sed -n 's/^[[:space:]]*GID\\[ *\\([0-9]*\\)\\]:[[:space:]]*/\\1 /p'";
const ADDRESSES =
  `ip addr show dev ${INTERFACE} | sed -n 's/^ *\\(inet6*\\) \\([^ ]*\\) .*/\\1 \\2/p'; ` +
  `ip route show dev ${INTERFACE} | sort; ip -6 route show dev ${INTERFACE} | grep -v multicast | sort`;

class ChangedPair extends Pair {
  constructor(context: CaseContext) {
    super(context, 'gid-order');
  }

  async start(): Promise<void> {
    await this.#start('server');
    for (const { port } of TESTS) await this.waitUntilListening(port);
    await this.#start('client', this.addresses.server);
  }

  async #start(endpoint: Endpoint, ...peer: string[]): Promise<void> {
    const tests = TESTS.map(({ index, port }) =>
      [
        ...['ib_send_bw', '-F', '-s', '1024', '-t', '4', '-r', '16', '-D', String(RUN_SECONDS)],
        ...['-x', String(index), '-p', String(port), ...peer],
      ].join(' '),
    );
    const all = tests.map((test, at) => `${test} & pid${at}=$!`);
    const ends = tests.map((_, at) => `wait $pid${at} || failed=1`);
    const lines = [...changes(this.addresses[endpoint]), ...all, ...ends, 'exit ${failed:-0}'];
    await this.startPod(endpoint, {
      command: ['/bin/sh', '-ec', lines.join('\n')],
      capabilities: ['NET_ADMIN'],
    });
  }

  /** perftest says nothing before its end: both have exchanged their queue pairs a moment after they have connected. */
  async waitUntilConnected(): Promise<void> {
    await until('both tests run', { within: 120, every: 3 }, async () => {
      const sockets = await execInPod(
        this.context.namespace,
        this.pods.server,
        'cat /proc/net/tcp /proc/net/tcp6',
      );
      const isConnected = ({ port }: { port: number }): boolean =>
        new RegExp(`:${port.toString(16).toUpperCase()} [0-9A-F]+:[0-9A-F]{4} 01`).test(sockets);
      return TESTS.every(isConnected) ? true : undefined;
    });
    await sleepSeconds(10);
  }

  /** @returns the GID table, and the addresses */
  async look(endpoint: Endpoint): Promise<{ table: string[]; addresses: string[] }> {
    const lines = async (line: string): Promise<string[]> =>
      (await execInPod(this.context.namespace, this.pods[endpoint], line)).trim().split('\n');
    return { table: await lines(TABLE), addresses: await lines(ADDRESSES) };
  }

  async waitForEnd(): Promise<void> {
    for (const endpoint of ['client', 'server'] as const) {
      const { exitCode } = await waitUntilPodEnded(
        this.context.namespace,
        this.pods[endpoint],
        600,
      );
      if (exitCode === 0) continue;
      const log = await this.podLog(endpoint);
      throw new NotReachedError(`the ${endpoint} ended with ${exitCode}:\n${log.slice(-4000)}`);
    }
  }
}

async function movesChanged(context: CaseContext): Promise<void> {
  const pair = new ChangedPair(context);
  await pair.start();
  await pair.waitUntilConnected();
  for (const endpoint of ['server', 'client'] as const) {
    const before = await pair.look(endpoint);
    const indexes = before.table.map((line) => parseInt(line));
    expect(
      indexes.join() === INDEXES.join(),
      `the case tests nothing: the table is ${before.table.join('; ')}`,
    );
    await pair.move(endpoint);
    const count = context.results.moves.at(-1)?.objects.qp ?? 0;
    expect(count === TESTS.length, `${count} queue pairs were moved`);
    const after = await pair.look(endpoint);
    for (const part of ['table', 'addresses'] as const)
      expect(
        after[part].join('\n') === before[part].join('\n'),
        `the ${endpoint}'s ${part} were ${before[part].join('; ')}; they are ${after[part].join('; ')}`,
      );
    context.log(`  ${endpoint}: ${after.table.join('; ')}`);
  }
  await pair.waitForEnd();
}

/** Its module may be missing on a node: then the kernel says so, and the case fails. */
const VLAN = `ip link add link ${INTERFACE} name ${INTERFACE}.7 type vlan id 7 && ip link set ${INTERFACE}.7 up && ip addr add 10.95.0.1/24 dev ${INTERFACE}.7`;

async function refusesVlan(context: CaseContext): Promise<void> {
  const { namespace, nodes } = context;
  await startPod({
    ...{ namespace, name: 'vlan', node: nodes[0], address: newAddress() },
    ...{ command: IDLE, capabilities: ['NET_ADMIN'] },
  });
  await execInPod(namespace, 'vlan', VLAN);
  await expectMoveFails(context, { pod: 'vlan', to: nodes[1], reason: 'UnsupportedObject' });
  await execInPod(namespace, 'vlan', `ip link del ${INTERFACE}.7`);
  const { entry } = await move(
    { namespace, pod: 'vlan', to: nodes[1], workload: 'without a VLAN' },
    context.log,
  );
  context.results.moves.push(entry);
}

export const cases: readonly Case[] = [
  {
    name: 'gid-order',
    promise:
      'Pods that have added and removed addresses keep each address at its GID index, holes too; queue pairs at the third and ' +
      'later indexes go on.',
    run: movesChanged,
  },
  {
    name: 'gid-order-vlan',
    promise:
      'A pod that has made a VLAN interface over its RDMA device is refused by name before it is touched.',
    run: refusesVlan,
  },
];
