// SPDX-License-Identifier: Apache-2.0
// Shows the progress of requests on standard error while the plugin waits: a block that is written again on a terminal,
// else a line for each thing that has happened.
import { blockOf, progressOf, type Request } from './progress.ts';
import { duration, type Streams } from './output.ts';

const REDRAW_MS = 200;
const UP_AND_CLEAR = (lines: number): string => (lines > 0 ? `\x1b[${lines}A\x1b[J` : '');

export interface Display {
  readonly show: (request: Request) => void;
  /** The last picture stays. */
  readonly end: () => void;
}

export function displayOn(streams: Streams): Display {
  return streams.isTerminal ? new Block(streams) : new Lines(streams);
}

/** Steps that run count up between two reports. */
class Block implements Display {
  readonly #streams: Streams;
  readonly #requests = new Map<string, Request>();
  readonly #timer: NodeJS.Timeout;
  #drawn = 0;

  constructor(streams: Streams) {
    this.#streams = streams;
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  readonly show = (request: Request): void => {
    this.#requests.set(request.metadata.uid, request);
    this.#draw();
  };

  readonly end = (): void => {
    clearInterval(this.#timer);
    this.#draw();
  };

  /** A line that the terminal breaks would be counted wrongly: it is cut. */
  #draw(): void {
    const { columns = 80 } = process.stderr;
    const lines = [...this.#requests.values()]
      .flatMap((one) => blockOf(progressOf(one, this.#streams.now())))
      .map((line) => (line.length < columns ? line : `${line.slice(0, columns - 4)}...`));
    this.#streams.error(`${UP_AND_CLEAR(this.#drawn)}${lines.map((line) => `${line}\n`).join('')}`);
    this.#drawn = lines.length;
  }
}

class Lines implements Display {
  readonly #streams: Streams;
  readonly #said = new Set<string>();

  constructor(streams: Streams) {
    this.#streams = streams;
  }

  readonly show = (request: Request): void => {
    const { title, phase, steps, outcome } = progressOf(request, this.#streams.now());
    const { name, uid } = request.metadata;
    const say = (text: string): void => {
      if (this.#said.has(`${uid} ${text}`)) return;
      this.#said.add(`${uid} ${text}`);
      this.#streams.error(`${name}: ${text}\n`);
    };
    for (const step of steps) {
      if (step.state === 'ended') say(`${step.name} ${duration(step.ms ?? 0)}, ${step.note}`);
    }
    say(`${phase}, ${title}`);
    if (outcome !== undefined) say(outcome);
  };

  readonly end = (): void => undefined;
}
