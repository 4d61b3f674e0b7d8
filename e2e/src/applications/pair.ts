// SPDX-License-Identifier: Apache-2.0
// A pair of pods that run an RDMA application as users have it.
import {
  COUNT_FILE,
  evidenceOf,
  iterationsFor,
  shellLine,
  type Application,
  type Counted,
  type Output,
} from './application.ts';
import type { CaseContext } from '../case.ts';
import { APPLICATIONS_IMAGE, needApplicationsImage } from '../images.ts';
import { Pair, type Endpoint } from '../pair.ts';
import { execInPod, waitUntilPodEnded, type PodOptions } from '../pods.ts';
import { provider } from '../provider/choice.ts';
import type { ApplicationResult } from '../report.ts';
import { NotReachedError, sleepSeconds, until } from '../wait.ts';

/**
 * How long an application that counts is to run, in seconds. The pilot run is slower than the rest, as an emulated node
 * translates each program first: the run may be shorter by a third.
 */
const COUNTED_S = 120 * provider.slowness;

export class ApplicationPair extends Pair {
  readonly #application: Application;
  /** How many moves there were before, of other pairs. */
  readonly #movesBefore: number;
  #iterations: number | undefined;
  #isReported = false;

  constructor(context: CaseContext, application: Application) {
    super(context, application.name);
    this.#application = application;
    this.#movesBefore = context.results.moves.length;
  }

  async start(): Promise<void> {
    const { server, client = server, counted, port } = this.#application;
    const { inApplicationsImage, cpuLimit, started } = this.#application;
    if (inApplicationsImage) await needApplicationsImage(this.context.log);
    const inShell = (line: string): Partial<PodOptions> & Pick<PodOptions, 'command'> => ({
      command: ['/bin/sh', '-c', line],
      ...(inApplicationsImage && { image: APPLICATIONS_IMAGE }),
      ...(cpuLimit !== undefined && { cpuLimit }),
    });
    await this.startPod('server', inShell(shellLine(server, counted)));
    await this.waitUntilListening(port);
    await this.startPod('client', inShell(shellLine(client, counted, this.addresses.server)));
    if (counted !== undefined) await this.#startCounted(counted);
    if (started === undefined) await sleepSeconds(5);
    else
      await until('there is traffic', { within: 300, every: 3 }, async () =>
        started.test(await this.podLog('client')) ? true : undefined,
      );
  }

  /** Lets the pilot run end, and then both ends do as much as is to be done. */
  async #startCounted(counted: Counted): Promise<void> {
    const rate = await until(
      'the pilot run ends',
      { within: 600 * provider.slowness, every: 3 },
      async () => counted.rate(await this.podLog('client')),
    );
    this.#iterations = iterationsFor(rate, COUNTED_S, counted.pilot);
    this.context.log(
      `  ${rate.toFixed(0)} iterations a second: ${this.#iterations} are to be done`,
    );
    await this.#setIterations('server');
    await this.waitUntilListening(this.#application.port);
    await this.#setIterations('client');
  }

  #setIterations(endpoint: Endpoint): Promise<string> {
    const line = `echo ${this.#iterations} > ${COUNT_FILE}`;
    return execInPod(this.context.namespace, this.pods[endpoint], line);
  }

  /**
   * That it works since its move. What was printed before a move is in the log of the pod that it ended.
   * @throws NotReachedError
   */
  async waitForWorkAfterMove(endpoint: Endpoint): Promise<void> {
    const { afterMove, receivers } = this.#application;
    if (evidenceOf(this.#application) === 'packets') return this.waitForTraffic(receivers);
    if (afterMove === undefined) return;
    await until(
      `the ${endpoint} prints ${afterMove.source}`,
      { within: 120, every: 3 },
      async () => (afterMove.test(await this.podLog(endpoint)) ? true : undefined),
    );
  }

  /**
   * Waits until both have ended, and reports what became of them.
   * @throws NotReachedError if one does not end, or not with 0, or has not found its work right
   */
  async waitForResult(
    moved: ApplicationResult['moved'],
    within = 900 * provider.slowness,
  ): Promise<ApplicationResult> {
    const { name, verified } = this.#application;
    const exit = { client: await this.#exitOf('client', within), server: -1 };
    exit.server = await this.#exitOf('server', 60);
    const iterations = this.#iterations;
    const outputs: Output[] = [
      { endpoint: 'client', log: await this.podLog('client'), iterations },
      { endpoint: 'server', log: await this.podLog('server'), iterations },
    ];
    const { moves, applications } = this.context.results;
    const own = moves.slice(this.#movesBefore);
    const result: ApplicationResult = {
      name,
      moved,
      exit,
      verified: outputs.every((one) => verified(one)),
      blackoutMs: Math.max(0, ...own.map((one) => one.blackoutMs)),
    };
    applications.push(result);
    this.#isReported = true;
    if (exit.client !== 0 || exit.server !== 0 || !result.verified) {
      const logs = outputs.map(({ endpoint, log }) => `${endpoint}:\n${log.slice(-4000)}`);
      throw new NotReachedError(`${name}: ${outcome(result)}\n${logs.join('\n')}`);
    }
    return result;
  }

  /** Of a pair that could not be moved, or did not work on: what became of it is not known. */
  reportUnfinished(moved: ApplicationResult['moved']): void {
    const { name } = this.#application;
    const { moves, applications } = this.context.results;
    if (this.#isReported) return;
    const own = moves.slice(this.#movesBefore);
    const blackoutMs = Math.max(0, ...own.map((one) => one.blackoutMs));
    const exit = { client: -1, server: -1 };
    applications.push({ name, moved, exit, verified: false, blackoutMs });
  }

  /** -1: it has not ended in time. */
  async #exitOf(endpoint: Endpoint, within: number): Promise<number> {
    const { namespace } = this.context;
    const ended = waitUntilPodEnded(namespace, this.pods[endpoint], within);
    return (await ended.catch(() => undefined))?.exitCode ?? -1;
  }
}

export function outcome({ exit, verified }: ApplicationResult): string {
  const ended = (status: number): string =>
    status === -1 ? 'has not ended' : `ended with ${status}`;
  const work = verified ? 'both have found their work right' : 'their work is not verified';
  return `client ${ended(exit.client)}, server ${ended(exit.server)}, ${work}`;
}
