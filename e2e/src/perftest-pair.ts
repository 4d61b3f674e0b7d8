// SPDX-License-Identifier: Apache-2.0
// A pair of pods that run Debian's perftest.
import type { CaseContext } from './case.ts';
import { Pair, type Endpoint } from './pair.ts';
import { waitUntilPodEnded } from './pods.ts';
import type { PerftestResult } from './report.ts';
import { NotReachedError } from './wait.ts';

const PERFTEST_PORT = 18515;

/** One test of perftest, with `qps` queue pairs, for `duration` seconds as perftest counts them. */
export class PerftestPair extends Pair {
  readonly test: string;
  readonly qps: number;
  readonly #arguments: string[];

  /** @param more further arguments of both endpoints */
  constructor(
    context: CaseContext,
    test: string,
    qps: number,
    duration: number,
    more: readonly string[] = [],
  ) {
    super(context, test.replaceAll('_', '-'));
    this.test = test;
    this.qps = qps;
    // -F: no warning about the CPU frequency.
    this.#arguments = [test, '-F', '-q', String(qps), '-D', String(duration)];
    // perftest refuses an option that is given twice.
    if (test !== 'ib_atomic_bw' && !more.includes('-s')) this.#arguments.push('-s', '4096');
    this.#arguments.push(...more);
  }

  async start(): Promise<void> {
    await this.startPod('server', { command: this.#arguments });
    await this.waitUntilListening(PERFTEST_PORT);
    await this.startPod('client', { command: [...this.#arguments, this.addresses.server] });
  }

  /** Waits until both have ended. @throws NotReachedError if one does not end, or not with 0 */
  async waitForResult(moved: Endpoint, within = 300): Promise<PerftestResult> {
    const { namespace, results } = this.context;
    const client = await waitUntilPodEnded(namespace, this.pods.client, within);
    const server = await waitUntilPodEnded(namespace, this.pods.server, 60);
    const result: PerftestResult = {
      test: this.test,
      qps: this.qps,
      moved,
      clientExit: client.exitCode ?? -1,
      serverExit: server.exitCode ?? -1,
    };
    results.perftest.push(result);
    if (result.clientExit !== 0 || result.serverExit !== 0) {
      const logs = `client:\n${await this.podLog('client')}\nserver:\n${await this.podLog('server')}`;
      throw new NotReachedError(
        `${this.test}: client ended with ${result.clientExit}, server with ${result.serverExit}\n${logs}`,
      );
    }
    return result;
  }
}
