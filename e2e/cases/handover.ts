// SPDX-License-Identifier: Apache-2.0
// What people and other moves do in the middle of a move, and what is left behind after many.
import { arm, disarm, tripped } from '../faults/steps.ts';
import { expect, type Case, type Context } from '../src/case.ts';
import { balanced, targetIsGone, untouched } from '../src/checks.ts';
import { kubectl, onNode } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { ended, migration, remove, summary } from '../src/requests.ts';
import { until } from '../src/wait.ts';

/** The pair goes on first. */
async function wentOn(c: Context, pair: LedgerPair): Promise<void> {
  await pair.progress('client', 200);
  await balanced(pair, c.tell);
}

/** Stops a move at a step and lets somebody end it there. */
async function stopped(
  c: Context,
  point: string,
  by: (name: string) => Promise<unknown>,
): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const before = await podStatus(namespace, pair.pods.server);
  const pods = await podNames(namespace);
  await arm(nodes[0], [point], 'delay:5000');
  try {
    const name = await requestMove({ namespace, pod: pair.pods.server, to: nodes[1] });
    await tripped(nodes[0], point, 180);
    await by(name);
  } finally {
    await disarm(nodes);
  }
  await targetIsGone(namespace, pods);
  await untouched(namespace, before);
  await wentOn(c, pair);
}

const cancelled = (c: Context, point: string): Promise<void> =>
  stopped(c, point, async (name) => {
    const patch = '{"spec":{"cancel":true}}';
    await kubectl('-n', c.namespace, 'patch', 'mreq', name, '--type=merge', '-p', patch);
    const end = summary(await ended(migration, { namespace: c.namespace, name }, c.tell));
    expect(end?.status === 'False' && end.reason === 'Cancelled', JSON.stringify(end));
  });

const deleted = (c: Context): Promise<void> =>
  stopped(c, 'source.transfer.before', async (name) => {
    await remove(migration, c.namespace, name);
    await until('the request is gone', { within: 120 }, async () =>
      (await kubectl('-n', c.namespace, 'get', 'mreq', '-o', 'name')) === '' ? true : undefined,
    );
  });

async function bothEnds(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  await Promise.all([pair.move('server'), pair.move('client')]);
  await wentOn(c, pair);
}

/** The client begins to move while the server waits at its resume gate, and again while the client is there. */
async function chain(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const point = 'target.decide.before';
  try {
    for (const [first, second] of [
      ['server', 'client'],
      ['client', 'server'],
    ] as const) {
      const target = pair.nodes[first] === c.nodes[0] ? c.nodes[1] : c.nodes[0];
      await arm(target, [point], 'delay:8000');
      const moving = pair.move(first);
      await Promise.race([moving, tripped(target, point, 240)]);
      await Promise.all([moving, pair.move(second)]);
      await pair.progress('client', 100);
    }
  } finally {
    await disarm(c.nodes);
  }
  await wentOn(c, pair);
}

async function twice(c: Context): Promise<void> {
  const { namespace, nodes } = c;
  const pair = new LedgerPair(c, { rate: 150 });
  await pair.begin();
  await pair.progress('client', 200);
  const moving = pair.move('server');
  const second = await requestMove({ namespace, pod: 'ledger-server', to: nodes[1] });
  const end = summary(await ended(migration, { namespace, name: second }, c.tell));
  await moving;
  expect(end?.status === 'False' && end.reason === 'AnotherMigration', JSON.stringify(end));
  await wentOn(c, pair);
}

/**
 * What may pile up on a node: the agent's descriptors and memory (MiB), files, and in all network namespaces RDMA devices
 * and what they hold, interfaces and rules; namespaces, mounts, the kernel's own memory (MiB), shims.
 */
const COUNTS = `
pid=$(pgrep -f '[/]opt/app/agent.js run' | head -1)
each() { for one in $(lsns -t net -n -o PID); do nsenter -t $one -n "$@" 2>/dev/null; done; }
echo descriptors $(ls /proc/$pid/fd | wc -l)
echo agent-memory $(awk '/^RssAnon/ {print int($2 / 1024)}' /proc/$pid/status)
echo files $(find /var/lib/sealift/journal /var/lib/sealift/checkpoints /var/lib/sealift/work -type f 2>/dev/null | wc -l)
echo nodes $(ls /var/lib/sealift/dev 2>/dev/null | wc -l)
echo devices $(each rdma dev | wc -l)
each rdma resource | awk '{for (i = 3; i < NF; i += 2) n[$i] += $(i + 1)} END {for (what in n) print what, n[what]}'
echo interfaces $(each ip -o link | wc -l)
echo rules $(each nft list ruleset | wc -l)
echo namespaces $(lsns -t net -n | wc -l)
echo mounts $(wc -l < /proc/self/mounts)
echo kernel-memory $(awk '/^(SUnreclaim|VmallocUsed|Percpu|KernelStack|PageTables)/ {n += $2} END {print int(n / 1024)}' /proc/meminfo)
echo shims $(pgrep -c -f containerd-shim-runc)
`;

/** MiB that memory may grow: a heap that has room is not collected, but fifty moves that leaked their images show. */
const SLACK: ReadonlyMap<string, number> = new Map([
  ['agent-memory', 24],
  ['kernel-memory', 12],
]);

type Counts = ReadonlyMap<string, number>;

async function counts(nodes: readonly string[]): Promise<Counts> {
  const each = await Promise.all(nodes.map((node) => onNode(node, COUNTS)));
  const lines = each.flatMap((text, n) =>
    text
      .trim()
      .split('\n')
      .map((line) => `${nodes[n]} ${line}`),
  );
  return new Map(lines.map((line) => [line.replace(/ \d+$/, ''), Number(line.split(' ').at(-1))]));
}

const shown = (of: Counts): string => [...of].map(([what, n]) => `${what} ${n}`).join(', ');

/** What is more than it was. */
const grown = (before: Counts, after: Counts): string[] =>
  [...after.keys()].filter((what) => {
    const slack = SLACK.get(what.split(' ').at(-1) ?? '') ?? 0;
    return (after.get(what) ?? 0) > (before.get(what) ?? 0) + slack;
  });

const MOVES = 50;

/** A kubelet tells late that a pod runs, and what does not run is not moved. */
async function moveOn(c: Context, pair: LedgerPair): Promise<void> {
  await until('the pod runs', { within: 60 }, async () => {
    const { phase } = await podStatus(c.namespace, pair.pods.server);
    return phase === 'Running' ? true : undefined;
  });
  await pair.move('server');
}

/** A node keeps a small record of a move for as long as its request is there: what is counted is what outlives it. */
async function settled(c: Context): Promise<Counts> {
  await kubectl('-n', c.namespace, 'delete', 'mreq', '--all', '--timeout=300s');
  return until('only the pair is left', { within: 300, every: 5 }, async () => {
    const pods = await podNames(c.namespace);
    const now = await counts(c.nodes);
    return pods.length === 2 && c.nodes.every((node) => now.get(`${node} files`) === 0)
      ? now
      : undefined;
  });
}

async function pingPong(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { rate: 100 });
  await pair.begin();
  await pair.progress('client', 200);
  // The first two fill caches.
  for (let n = 0; n < 2; n++) await moveOn(c, pair);
  const before = await settled(c);
  c.tell(`  ${shown(before)}`);
  for (let n = 3; n <= MOVES; n++) {
    c.tell(`  move ${n} of ${MOVES}`);
    await moveOn(c, pair);
  }
  let after = await settled(c);
  // What was deleted takes a while to go.
  await until('nothing has grown', { within: 180, every: 10 }, async () => {
    after = await counts(c.nodes);
    return grown(before, after).length === 0 ? true : undefined;
  }).finally(() => c.tell(`  ${shown(after)}`));
  await wentOn(c, pair);
}

export const cases: readonly Case[] = [
  {
    name: 'cancel-held',
    promise: 'spec.cancel while the source is held: it goes on, nothing is lost',
    run: (c) => cancelled(c, 'source.dump.before'),
  },
  {
    name: 'cancel-streaming',
    promise: 'spec.cancel while images are sent: the source goes on, nothing is lost',
    run: (c) => cancelled(c, 'source.transfer.before'),
  },
  {
    name: 'cancel-delete',
    promise: 'a request that is deleted in the middle is cancelled first, then gone',
    run: deleted,
  },
  {
    name: 'move-both-ends',
    promise: 'both ends move at the same time, past each other',
    run: bothEnds,
  },
  {
    name: 'move-chain',
    promise: "a pod begins to move while its peer's move is being decided",
    run: chain,
  },
  {
    name: 'move-twice',
    promise: 'a second request for the same pod is refused, the first one goes on',
    run: twice,
  },
  {
    name: 'move-ping-pong',
    promise: `${MOVES} moves there and back leave nothing behind on the nodes`,
    run: pingPong,
  },
];
