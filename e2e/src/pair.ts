// SPDX-License-Identifier: Apache-2.0
// Two pods with traffic between them, on two nodes.
import type { CaseContext } from './case.ts';
import { move, type MoveOptions } from './move.ts';
import { execInPod, newAddress, podLog, podStatus, startPod, type PodOptions } from './pods.ts';
import { COUNTERS_LINE, countersIn, progress, type Counters } from './rdma-counters.ts';
import { NotReachedError, until } from './wait.ts';

export type Endpoint = 'client' | 'server';

/** New packets between two looks that count as traffic. An emulated node receives a hundred in a second, and more. */
const TRAFFIC_PACKETS = 20;

/** Knows name and node of both pods, also after moves. */
export abstract class Pair {
  protected readonly context: CaseContext;
  protected readonly kind: string;
  readonly pods: Record<Endpoint, string>;
  readonly nodes: Record<Endpoint, string>;
  readonly addresses: Record<Endpoint, string>;

  constructor(context: CaseContext, kind: string) {
    this.context = context;
    this.kind = kind;
    this.pods = { client: `${kind}-client`, server: `${kind}-server` };
    this.nodes = { server: context.nodes[0], client: context.nodes[1] };
    this.addresses = { client: newAddress(), server: newAddress() };
  }

  protected async startPod(
    endpoint: Endpoint,
    options: Partial<PodOptions> & Pick<PodOptions, 'command'>,
  ) {
    const { namespace } = this.context;
    await startPod({
      namespace,
      name: this.pods[endpoint],
      node: this.nodes[endpoint],
      address: this.addresses[endpoint],
      ...options,
    });
  }

  /** An endpoint is another pod from now on, or on another node. */
  follow(endpoint: Endpoint, pod: string, node: string): void {
    this.pods[endpoint] = pod;
    this.nodes[endpoint] = node;
  }

  /** Moves one endpoint to the other node. */
  async move(endpoint: Endpoint, timeouts?: MoveOptions['timeouts']): Promise<void> {
    const { namespace, nodes, results, log } = this.context;
    const to = this.nodes[endpoint] === nodes[0] ? nodes[1] : nodes[0];
    const pod = this.pods[endpoint];
    const workload = `${this.kind} ${endpoint}`;
    const more = timeouts === undefined ? {} : { timeouts };
    const result = await move({ namespace, pod, to, workload, ...more }, log);
    results.moves.push(result.entry);
    const wrong = Object.entries(result.entry.same).filter(([, same]) => !same);
    if (wrong.length > 0)
      throw new NotReachedError(`the move has changed ${wrong.map(([k]) => k).join(', ')}`);
    this.follow(endpoint, result.pod, to);
  }

  /** Waits until a port of the server listens, without connecting to it. */
  protected async waitUntilListening(port: number): Promise<void> {
    const hex = port.toString(16).toUpperCase().padStart(4, '0');
    await until(`port ${port} listens`, { within: 120, every: 2 }, async () => {
      const table = await execInPod(
        this.context.namespace,
        this.pods.server,
        'cat /proc/net/tcp /proc/net/tcp6',
      ).catch(async (error: unknown) => {
        const { exitCode } = await podStatus(this.context.namespace, this.pods.server);
        if (exitCode === undefined) throw error;
        throw new NotReachedError(
          `the server ended with ${exitCode}:\n${await this.podLog('server')}`,
        );
      });
      return new RegExp(`:${hex} [0-9A-F]+:0000 0A`).test(table) ? true : undefined;
    });
  }

  /**
   * Waits until packets arrive at these endpoints that they have not seen before, some seconds apart. A program that runs for a
   * time ends with 0 also if its connection stands since its move.
   * @throws NotReachedError if none do, or if an endpoint has ended meanwhile
   */
  async waitForTraffic(at: readonly Endpoint[] = ['client', 'server']): Promise<void> {
    const before = new Map<Endpoint, Counters>();
    for (const endpoint of at)
      await until(
        `packets arrive at the ${endpoint} since the move`,
        { within: 60, every: 3 },
        async () => {
          const after = await this.#counters(endpoint);
          const known = before.get(endpoint);
          if (known === undefined) before.set(endpoint, after);
          const packets = known === undefined ? undefined : progress(known, after);
          if (packets !== undefined && packets >= TRAFFIC_PACKETS) return packets;
          throw new Error(`${packets ?? 'no'} new packets`);
        },
      );
  }

  async #counters(endpoint: Endpoint): Promise<Counters> {
    const { namespace } = this.context;
    const { exitCode } = await podStatus(namespace, this.pods[endpoint]);
    if (exitCode !== undefined)
      throw new NotReachedError(
        `the ${endpoint} ended with ${exitCode} before anybody saw traffic since the move:
${await this.podLog(endpoint)}`,
      );
    return countersIn(await execInPod(namespace, this.pods[endpoint], COUNTERS_LINE));
  }

  podLog(endpoint: Endpoint): Promise<string> {
    return podLog(this.context.namespace, this.pods[endpoint]);
  }
}
