// SPDX-License-Identifier: Apache-2.0
// Pairs of pods with traffic between them: perftest and the ledger.
import { move, type MoveOptions } from './move.ts';
import {
  execIn,
  newAddress,
  podEnd,
  podLog,
  podStatus,
  signal,
  startPod,
  type Beside,
  type PodOptions,
} from './pods.ts';
import { LedgerResult, type Facts, type PerftestResult } from './report.ts';
import { NotReachedError, until } from './wait.ts';

export type Side = 'client' | 'server';
export const other = (side: Side): Side => (side === 'client' ? 'server' : 'client');

export interface Stage {
  readonly namespace: string;
  readonly nodes: readonly [string, string];
  readonly facts: Facts;
  readonly tell: (line: string) => void;
}

/** Two pods, each followed by name and node wherever it goes. */
abstract class Pair {
  protected readonly stage: Stage;
  protected readonly kind: string;
  readonly pods: Record<Side, string>;
  readonly nodes: Record<Side, string>;
  readonly addresses: Record<Side, string>;

  constructor(stage: Stage, kind: string) {
    this.stage = stage;
    this.kind = kind;
    this.pods = { client: `${kind}-client`, server: `${kind}-server` };
    this.nodes = { server: stage.nodes[0], client: stage.nodes[1] };
    this.addresses = { client: newAddress(), server: newAddress() };
  }

  protected async start(side: Side, options: Partial<PodOptions> & Pick<PodOptions, 'command'>) {
    const { namespace } = this.stage;
    await startPod({
      namespace,
      name: this.pods[side],
      node: this.nodes[side],
      address: this.addresses[side],
      ...options,
    });
  }

  /** A side goes on as another pod, or elsewhere. */
  follow(side: Side, pod: string, node: string): void {
    this.pods[side] = pod;
    this.nodes[side] = node;
  }

  /** Moves one side to the node where it is not. */
  async move(side: Side, timeouts?: MoveOptions['timeouts']): Promise<void> {
    const { namespace, nodes, facts, tell } = this.stage;
    const to = this.nodes[side] === nodes[0] ? nodes[1] : nodes[0];
    const pod = this.pods[side];
    const workload = `${this.kind} ${side}`;
    const more = timeouts === undefined ? {} : { timeouts };
    const result = await move({ namespace, pod, to, workload, ...more }, tell);
    facts.moves.push(result.entry);
    const wrong = Object.entries(result.entry.same).filter(([, same]) => !same);
    if (wrong.length > 0)
      throw new NotReachedError(`changed by the move: ${wrong.map(([k]) => k).join(', ')}`);
    this.follow(side, result.pod, to);
  }

  /** Waits until a port of the server listens, without connecting to it. */
  protected async listening(port: number): Promise<void> {
    const hex = port.toString(16).toUpperCase().padStart(4, '0');
    await until(`port ${port} listens`, { within: 120, every: 2 }, async () => {
      const table = await execIn(
        this.stage.namespace,
        this.pods.server,
        'cat /proc/net/tcp /proc/net/tcp6',
      ).catch(async (error: unknown) => {
        const { exitCode } = await podStatus(this.stage.namespace, this.pods.server);
        if (exitCode === undefined) throw error;
        throw new NotReachedError(
          `the server ended with ${exitCode}:\n${await this.log('server')}`,
        );
      });
      return new RegExp(`:${hex} [0-9A-F]+:0000 0A`).test(table) ? true : undefined;
    });
  }

  log(side: Side): Promise<string> {
    return podLog(this.stage.namespace, this.pods[side]);
  }
}

const PERFTEST_PORT = 18515;

/** Debian's perftest, one test, `qps` queue pairs, for `duration` seconds of its own time. */
export class PerftestPair extends Pair {
  readonly test: string;
  readonly qps: number;
  readonly #arguments: string[];

  /** @param more further arguments of both ends */
  constructor(
    stage: Stage,
    test: string,
    qps: number,
    duration: number,
    more: readonly string[] = [],
  ) {
    super(stage, test.replaceAll('_', '-'));
    this.test = test;
    this.qps = qps;
    // -F: say nothing of CPU frequency.
    this.#arguments = [test, '-F', '-q', String(qps), '-D', String(duration)];
    // Of an option that is given twice, perftest complains.
    if (test !== 'ib_atomic_bw' && !more.includes('-s')) this.#arguments.push('-s', '4096');
    this.#arguments.push(...more);
  }

  async begin(): Promise<void> {
    await this.start('server', { command: this.#arguments });
    await this.listening(PERFTEST_PORT);
    await this.start('client', { command: [...this.#arguments, this.addresses.server] });
  }

  /** Waits for both ends. @throws NotReachedError if one does not end or does not end with 0 */
  async finish(moved: Side, within = 300): Promise<PerftestResult> {
    const { namespace, facts } = this.stage;
    const client = await podEnd(namespace, this.pods.client, within);
    const server = await podEnd(namespace, this.pods.server, 60);
    const result: PerftestResult = {
      test: this.test,
      qps: this.qps,
      moved,
      clientExit: client.exitCode ?? -1,
      serverExit: server.exitCode ?? -1,
    };
    facts.perftest.push(result);
    if (result.clientExit !== 0 || result.serverExit !== 0) {
      const logs = `client:\n${await this.log('client')}\nserver:\n${await this.log('server')}`;
      throw new NotReachedError(
        `${this.test}: client ended with ${result.clientExit}, server with ${result.serverExit}\n${logs}`,
      );
    }
    return result;
  }
}

export interface LedgerOptions {
  readonly qps?: number;
  readonly size?: number;
  /** Operations per second and side. */
  readonly rate?: number;
  readonly inject?: { readonly side: Side; readonly fault: string };
  readonly both?: readonly string[];
  /** The client runs on the server's node, at the beginning. */
  readonly clientBeside?: boolean;
  /** The server keeps the key `open` of this ConfigMap open. */
  readonly serverConfigMap?: string;
  /** Of the server's pod. */
  readonly serverAnnotations?: Record<string, string>;
  /** What the server's pod has beside the server. */
  readonly serverBeside?: Beside;
  /** Never, unless its kubelet is to make a sandbox for it once more. */
  readonly serverRestart?: 'OnFailure';
}

/** The ledger pair: runs until it is told to end. */
export class LedgerPair extends Pair {
  readonly #options: LedgerOptions;

  constructor(stage: Stage, options: LedgerOptions = {}) {
    super(stage, 'ledger');
    this.#options = options;
    if (options.clientBeside) this.nodes.client = this.nodes.server;
  }

  #command(side: Side): string[] {
    const { qps = 2, size = 4096, rate = 120, inject, both } = this.#options;
    // 1.07 s: an emulated node that is busy answers late, and a request repeated for nothing costs it more time.
    const sizes = ['--qps', qps, '--size', size, '--rate', rate, '--timeout', 18];
    const common = [...sizes, ...(both ?? [])].map(String);
    const fault = inject?.side === side ? ['--inject', inject.fault] : [];
    return side === 'server'
      ? ['ledger', 'server', ...common, ...fault]
      : ['ledger', 'client', '--peer', this.addresses.server, ...common, ...fault];
  }

  async begin(): Promise<void> {
    const { serverConfigMap: configMap, serverBeside } = this.#options;
    const { serverAnnotations: annotations = {}, serverRestart: restartPolicy } = this.#options;
    const beside = {
      ...(serverBeside && { beside: serverBeside }),
      ...(restartPolicy && { restartPolicy }),
    };
    const command = this.#command('server');
    const holding = ['/bin/sh', '-c', `exec 3</config/open; exec ${command.join(' ')}`];
    // Both at once: the client asks until the server answers.
    await Promise.all([
      this.start(
        'server',
        configMap ? { command: holding, configMap } : { command, annotations, ...beside },
      ),
      this.start('client', { command: this.#command('client') }),
    ]);
  }

  /** Operations that one side has completed, by its last line of progress. */
  async operations(side: Side): Promise<number> {
    return (await this.#progress(side)).operations;
  }

  /** What both sides have found so far. */
  async standing(): Promise<Pick<LedgerResult, 'lost' | 'duplicated'>> {
    const [client, server] = [await this.#progress('client'), await this.#progress('server')];
    return {
      lost: client.lost + server.lost,
      duplicated: client.duplicated + server.duplicated,
    };
  }

  async #progress(side: Side): Promise<Pick<LedgerResult, 'operations' | 'lost' | 'duplicated'>> {
    const lines = (await this.log(side)).split('\n');
    const last = lines.findLast((line) => line.startsWith('progress ')) ?? '';
    const number = (pattern: RegExp): number => Number(pattern.exec(last)?.[1] ?? 0);
    return {
      operations: number(/^progress (\d+)/),
      lost: number(/ (\d+) lost/),
      duplicated: number(/ (\d+) duplicated/),
    };
  }

  /** Waits until a side has completed that many operations more than now. */
  async progress(side: Side, more: number, within = 180): Promise<void> {
    const from = await this.operations(side);
    await until(`${more} operations of the ledger's ${side}`, { within, every: 2 }, async () =>
      (await this.operations(side)) >= from + more ? true : undefined,
    );
  }

  async stop(side: Side): Promise<void> {
    await signal(this.stage.namespace, this.pods[side], 'TERM');
  }

  /** Waits for both verdicts, which must agree. The exit status is told, not judged. */
  async verdict(within = 240): Promise<{ result: LedgerResult; exits: Record<Side, number> }> {
    const { namespace, facts } = this.stage;
    const exits = { client: -1, server: -1 };
    const verdicts: string[] = [];
    for (const side of ['client', 'server'] as const) {
      exits[side] = (await podEnd(namespace, this.pods[side], within)).exitCode ?? -1;
      const log = await this.log(side);
      const line = log.split('\n').findLast((l) => l.startsWith('{'));
      if (line === undefined)
        throw new NotReachedError(
          `the ledger's ${side} ended with ${exits[side]} and no verdict:\n${log.slice(-2000)}`,
        );
      verdicts.push(line);
    }
    if (verdicts[0] !== verdicts[1])
      throw new NotReachedError(`the verdicts differ: ${verdicts.join(' ')}`);
    const result = LedgerResult.parse(JSON.parse(verdicts[0] ?? ''));
    if (this.#options.inject === undefined) facts.addLedger(result);
    return { result, exits };
  }
}
