// SPDX-License-Identifier: Apache-2.0
// What may pile up on the nodes, counted.
import { onNode } from './lab.ts';

/**
 * Collects an agent's garbage through its inspector, which Node.js opens at SIGUSR1, and prints the MiB that are in use then:
 * a heap that has room is not collected by itself, and its size says little.
 */
const IN_USE = `
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

/** What agents write down and keep. A folder that is not there has none. */
const FILES =
  'find /var/lib/sealift/journal /var/lib/sealift/checkpoints /var/lib/sealift/work -type f 2>/dev/null';

/**
 * The agent's descriptors and memory (MiB), files, and in all network namespaces RDMA devices and what they hold, interfaces and
 * rules; namespaces, mounts, the kernel's own memory (MiB), shims.
 */
const COUNTS = `
pid=$(pgrep -f '[/]opt/app/agent.js run' | head -1)
each() { for one in $(lsns -t net -n -o PID); do nsenter -t $one -n "$@" 2>/dev/null; done; }
echo agent-memory $(kill -USR1 $pid && nsenter -t $pid -m -n -- $(readlink /proc/$pid/exe) -e '${IN_USE}')
echo files $(${FILES} | wc -l)
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

/** MiB that memory may grow: caches are not full after two moves, but fifty that leaked their images show. */
const SLACK: ReadonlyMap<string, number> = new Map([
  ['agent-memory', 6],
  ['kernel-memory', 12],
]);

export type Counts = ReadonlyMap<string, number>;

/** The files that agents keep, as `<node> <path>`. */
export async function files(nodes: readonly string[]): Promise<string[]> {
  const on = async (node: string) =>
    (await onNode(node, `${FILES}; true`))
      .split('\n')
      .filter(Boolean)
      .map((path) => `${node} ${path}`);
  return (await Promise.all(nodes.map(on))).flat();
}

/** Counts on each node. @throws Error when something could not be counted */
export async function counts(nodes: readonly string[]): Promise<Counts> {
  const found = new Map<string, number>();
  for (const [n, text] of (await Promise.all(nodes.map((node) => onNode(node, COUNTS)))).entries())
    for (const line of text.trim().split('\n')) {
      const [, what, number] = /^(\S+) (\d+)$/.exec(line) ?? [];
      if (what === undefined) throw new Error(`${nodes[n]} counted nothing: ${line}`);
      found.set(`${nodes[n]} ${what}`, Number(number));
    }
  return found;
}

export const shown = (of: Counts): string => [...of].map(([what, n]) => `${what} ${n}`).join(', ');

/** What is more than it was. */
export const grown = (before: Counts, after: Counts): string[] =>
  [...after.keys()].filter((what) => {
    const slack = SLACK.get(what.split(' ').at(-1) ?? '') ?? 0;
    return (after.get(what) ?? 0) > (before.get(what) ?? 0) + slack;
  });
