// SPDX-License-Identifier: Apache-2.0
// A pair of pods that run the ledger (e2e/workloads), which accounts for every operation.
import type { CaseContext } from './case.ts';
import { Pair, type Endpoint } from './pair.ts';
import { podIp, signalPod, waitUntilPodEnded, type PodExtras } from './pods.ts';
import { LedgerResult } from './report.ts';
import { NotReachedError, until } from './wait.ts';

export interface LedgerOptions {
  readonly qps?: number;
  readonly size?: number;
  /** Operations per second and endpoint. */
  readonly rate?: number;
  readonly inject?: { readonly endpoint: Endpoint; readonly fault: string };
  /** Further arguments of both endpoints. */
  readonly extraArguments?: readonly string[];
  /** The control connection is between the pods' addresses in the cluster's network. */
  readonly controlOnPodIp?: boolean;
  /** Start the client on the server's node. */
  readonly clientOnServerNode?: boolean;
  /** Shell commands before the server, in the shell that it replaces: files that it is to have open. */
  readonly serverPrelude?: string;
  /** Of the server's pod. */
  readonly serverAnnotations?: Record<string, string>;
  /** What else the server's pod contains. */
  readonly serverExtras?: PodExtras;
  /** Absent: Never. OnFailure lets the kubelet make another sandbox for the pod. */
  readonly serverRestart?: 'OnFailure';
}

/** Runs until one of its endpoints is stopped. */
export class LedgerPair extends Pair {
  readonly #options: LedgerOptions;

  constructor(context: CaseContext, options: LedgerOptions = {}) {
    super(context, 'ledger');
    this.#options = options;
    if (options.clientOnServerNode) this.nodes.client = this.nodes.server;
  }

  /** @param peer the server's address for the control connection */
  #command(endpoint: Endpoint, peer = this.addresses.server): string[] {
    const { qps = 2, size = 4096, rate = 120, inject, extraArguments } = this.#options;
    // An ACK timeout of 1.07 s: a busy emulated node answers late, and repeated requests cost it more time.
    const sizes = ['--qps', qps, '--size', size, '--rate', rate, '--timeout', 18];
    const common = [...sizes, ...(extraArguments ?? [])].map(String);
    const fault = inject?.endpoint === endpoint ? ['--inject', inject.fault] : [];
    return endpoint === 'server'
      ? ['ledger', 'server', ...common, ...fault]
      : ['ledger', 'client', '--peer', peer, ...common, ...fault];
  }

  async start(): Promise<void> {
    const { serverPrelude, serverExtras } = this.#options;
    const { serverAnnotations: annotations = {}, serverRestart: restartPolicy } = this.#options;
    const options = {
      ...(serverExtras && { extras: serverExtras }),
      ...(restartPolicy && { restartPolicy }),
    };
    const plain = this.#command('server');
    const command =
      serverPrelude === undefined
        ? plain
        : ['/bin/sh', '-c', `${serverPrelude}; exec ${plain.join(' ')}`];
    if (this.#options.controlOnPodIp) {
      await this.startPod('server', { command, annotations, ...options });
      const peer = await podIp(this.context.namespace, this.pods.server);
      await this.startPod('client', { command: this.#command('client', peer) });
      return;
    }
    // Both at once: the client tries to connect until the server answers.
    await Promise.all([
      this.startPod('server', { command, annotations, ...options }),
      this.startPod('client', { command: this.#command('client') }),
    ]);
  }

  /** Operations that an endpoint has completed, by the last progress line of its log. */
  async operations(endpoint: Endpoint): Promise<number> {
    return (await this.#lastProgress(endpoint)).operations;
  }

  /** What both endpoints have found so far. */
  async errorsSoFar(): Promise<Pick<LedgerResult, 'lost' | 'duplicated'>> {
    const [client, server] = [
      await this.#lastProgress('client'),
      await this.#lastProgress('server'),
    ];
    return {
      lost: client.lost + server.lost,
      duplicated: client.duplicated + server.duplicated,
    };
  }

  async #lastProgress(
    endpoint: Endpoint,
  ): Promise<Pick<LedgerResult, 'operations' | 'lost' | 'duplicated'>> {
    const lines = (await this.podLog(endpoint)).split('\n');
    const last = lines.findLast((line) => line.startsWith('progress ')) ?? '';
    const number = (pattern: RegExp): number => Number(pattern.exec(last)?.[1] ?? 0);
    return {
      operations: number(/^progress (\d+)/),
      lost: number(/ (\d+) lost/),
      duplicated: number(/ (\d+) duplicated/),
    };
  }

  /** Waits until an endpoint has completed that many operations more than now. */
  async waitForOperations(endpoint: Endpoint, more: number, within = 180): Promise<void> {
    const from = await this.operations(endpoint);
    await until(`${more} operations of the ledger's ${endpoint}`, { within, every: 2 }, async () =>
      (await this.operations(endpoint)) >= from + more ? true : undefined,
    );
  }

  async stop(endpoint: Endpoint): Promise<void> {
    await signalPod(this.context.namespace, this.pods[endpoint], 'TERM');
  }

  /** Waits for both verdicts, which must agree. Returns the exit statuses without judging them. */
  async waitForVerdict(
    within = 240,
  ): Promise<{ result: LedgerResult; exits: Record<Endpoint, number> }> {
    const { namespace, results } = this.context;
    const exits = { client: -1, server: -1 };
    const verdicts: string[] = [];
    for (const endpoint of ['client', 'server'] as const) {
      exits[endpoint] =
        (await waitUntilPodEnded(namespace, this.pods[endpoint], within)).exitCode ?? -1;
      const log = await this.podLog(endpoint);
      const line = log.split('\n').findLast((l) => l.startsWith('{'));
      if (line === undefined)
        throw new NotReachedError(
          `the ledger's ${endpoint} ended with ${exits[endpoint]} and no verdict:\n${log.slice(-2000)}`,
        );
      verdicts.push(line);
    }
    if (verdicts[0] !== verdicts[1])
      throw new NotReachedError(`the verdicts differ: ${verdicts.join(' ')}`);
    const result = LedgerResult.parse(JSON.parse(verdicts[0] ?? ''));
    if (this.#options.inject === undefined) results.addLedger(result);
    return { result, exits };
  }
}
