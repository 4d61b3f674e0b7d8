// SPDX-License-Identifier: Apache-2.0
// Counts the resources of nodes that moves could leak.
import { onNode } from './cluster.ts';

/**
 * Prints the MiB of heap that an agent uses after a garbage collection. Node.js opens its inspector at SIGUSR1; the script
 * asks it to collect. Without that the heap's size says little: Node.js does not collect a heap that has room.
 */
const HEAP_IN_USE_SCRIPT = `
const soon = () => new Promise((done) => setTimeout(done, 250));
const found = async () => {
  for (let tries = 0; tries < 80; tries++, await soon()) {
    const list = await fetch("http://127.0.0.1:9229/json/list").then((it) => it.json(), () => []);
    if (list.length > 0) return list[0].webSocketDebuggerUrl;
  }
  throw new Error("the agent has no inspector");
};
const main = async () => {
  const socket = new WebSocket(await found());
  await new Promise((done) => (socket.onopen = done));
  const ask = (id, method, params = {}) => new Promise((done) => {
    socket.onmessage = ({ data }) => JSON.parse(data).id === id && done(JSON.parse(data).result);
    socket.send(JSON.stringify({ id, method, params }));
  });
  await ask(1, "HeapProfiler.collectGarbage");
  const expression = "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())";
  const { result } = await ask(2, "Runtime.evaluate", { expression });
  console.log(Math.round(result.value / 1048576));
  process.exit(0);
};
main();
`;

/** Lists the files that agents keep. */
const FIND_FILES =
  'find /var/lib/sealift/journal /var/lib/sealift/checkpoints /var/lib/sealift/work -type f 2>/dev/null';

/**
 * Prints one count per line: the agent's descriptors, memory (MiB) and files; RDMA devices, their objects, interfaces and
 * rules of all network namespaces; namespaces, mounts, the kernel's own memory (MiB), shims.
 */
const COUNT_SCRIPT = `
pid=$(pgrep -f '[/]opt/app/agent.js run' | head -1)
each() { for one in $(lsns -t net -n -o PID); do nsenter -t $one -n "$@" 2>/dev/null; done; }
echo agent-memory $(kill -USR1 $pid && nsenter -t $pid -m -n -- $(readlink /proc/$pid/exe) -e '${HEAP_IN_USE_SCRIPT}')
echo files $(${FIND_FILES} | wc -l)
echo nodes $(ls /var/lib/sealift/dev 2>/dev/null | wc -l)
echo devices $(each rdma dev | wc -l)
each rdma resource | awk '{for (i = 3; i < NF; i += 2) n[$i] += $(i + 1)} END {for (what in n) print what, n[what]}'
echo interfaces $(each ip -o link | wc -l)
echo rules $(each nft list ruleset | wc -l)
echo namespaces $(lsns -t net -n | wc -l)
echo mounts $(wc -l < /proc/self/mounts)
echo kernel-memory $(awk '/^(SUnreclaim|VmallocUsed|Percpu|KernelStack|PageTables)/ {n += $2} END {print int(n / 1024)}' /proc/meminfo)
echo shims $(pgrep -c -f containerd-shim-runc)
echo descriptors $(ls /proc/$pid/fd | wc -l)
`;

/** MiB by which memory may grow. Caches are not full after two moves; fifty leaked images would be more. */
const SLACK: ReadonlyMap<string, number> = new Map([
  ['agent-memory', 6],
  ['kernel-memory', 12],
]);

export type Counts = ReadonlyMap<string, number>;

/** The files that agents keep, as `<node> <path>`. */
export async function agentFiles(nodes: readonly string[]): Promise<string[]> {
  const on = async (node: string) =>
    (await onNode(node, `${FIND_FILES}; true`))
      .split('\n')
      .filter(Boolean)
      .map((path) => `${node} ${path}`);
  return (await Promise.all(nodes.map(on))).flat();
}

/** Counts on each node. @throws Error if a count is missing */
export async function countResources(nodes: readonly string[]): Promise<Counts> {
  const found = new Map<string, number>();
  for (const [n, text] of (
    await Promise.all(nodes.map((node) => onNode(node, COUNT_SCRIPT)))
  ).entries())
    for (const line of text.trim().split('\n')) {
      const [, what, number] = /^(\S+) (\d+)$/.exec(line) ?? [];
      if (what === undefined) throw new Error(`${nodes[n]} printed no count: ${line}`);
      found.set(`${nodes[n]} ${what}`, Number(number));
    }
  return found;
}

export const formatCounts = (counts: Counts): string =>
  [...counts].map(([what, n]) => `${what} ${n}`).join(', ');

/** Names of the counts that have grown by more than their slack. */
export const grownSince = (before: Counts, after: Counts): string[] =>
  [...after.keys()].filter((what) => {
    const slack = SLACK.get(what.split(' ').at(-1) ?? '') ?? 0;
    return (after.get(what) ?? 0) > (before.get(what) ?? 0) + slack;
  });
