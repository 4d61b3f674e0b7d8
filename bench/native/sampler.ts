// SPDX-License-Identifier: Apache-2.0
// Watches a node while one move is drawn: which processes live, which of the agent's files change, when packets pass. It
// looks every few milliseconds, so moves that are timed are not watched.
import { readdirSync, readFileSync, watch, type FSWatcher } from 'node:fs';
import { nowMs, type Span } from '../src/api-log.ts';

const INTERVAL_MS = 3;
/** Packets closer to each other than this are one burst. */
const BURST_MS = 12;
const DEVICE = '/sys/class/net/eth0/statistics';

interface Seen {
  readonly name: string;
  readonly from: number;
  to: number;
}

export class Sampler {
  readonly #node: string;
  readonly #processes = new Map<number, Seen>();
  readonly #ended: Seen[] = [];
  readonly #files = new Map<string, Seen>();
  readonly #bursts: (Seen & { bytes: number })[] = [];
  readonly #before: ReadonlySet<number>;
  readonly #timer: NodeJS.Timeout;
  readonly #watcher: FSWatcher;
  #bytes = sent();

  private constructor(node: string, directory: string) {
    this.#node = node;
    this.#before = new Set(pids());
    this.#watcher = watch(directory, { recursive: true }, (_event, name) => this.#file(name));
    this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  static start(node: string, directory: string): Promise<Sampler> {
    return Promise.resolve(new Sampler(node, directory));
  }

  stop(): Span[] {
    clearInterval(this.#timer);
    this.#watcher.close();
    const spans = (lane: string, seen: Iterable<Seen>): Span[] =>
      [...seen].map(({ name, from, to }) => ({ lane: `${this.#node}: ${lane}`, name, from, to }));
    return [
      ...spans('processes', [...this.#ended, ...this.#processes.values()]),
      ...spans('files', this.#files.values()),
      ...spans(
        'packets',
        this.#bursts.map((one) => ({ ...one, name: `${Math.ceil(one.bytes / 1024)} KiB sent` })),
      ),
    ];
  }

  #look(): void {
    const now = nowMs();
    const living = new Set(pids());
    for (const [pid, seen] of this.#processes) {
      if (living.has(pid)) seen.to = now;
      else {
        this.#ended.push(seen);
        this.#processes.delete(pid);
      }
    }
    for (const pid of living) {
      if (this.#before.has(pid) || this.#processes.has(pid)) continue;
      const name = commandOf(pid);
      if (name !== '') this.#processes.set(pid, { name, from: now, to: now });
    }
    const bytes = sent();
    if (bytes > this.#bytes) {
      const last = this.#bursts.at(-1);
      if (last && now - last.to < BURST_MS) {
        last.to = now;
        last.bytes += bytes - this.#bytes;
      } else {
        this.#bursts.push({
          name: '',
          from: now - INTERVAL_MS,
          to: now,
          bytes: bytes - this.#bytes,
        });
      }
    }
    this.#bytes = bytes;
  }

  #file(name: string | null): void {
    if (name === null) return;
    // One span for each directory of images; each journal file has its own.
    const short = name
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<uid>')
      .replace(/[0-9a-f]{64}/g, '<id>');
    const now = nowMs();
    const seen = this.#files.get(short);
    if (seen && now - seen.to < 30) seen.to = now;
    else this.#files.set(`${short}`, { name: short, from: now, to: now });
  }
}

function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function commandOf(pid: number): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    const [program = '', ...rest] = words;
    const verb = rest.find((word) =>
      /^(checkpoint|restore|create|start|init|swrk|delete)$/.test(word),
    );
    return [program.split('/').pop(), verb].filter(Boolean).join(' ');
  } catch {
    return '';
  }
}

function sent(): number {
  return Number(readFileSync(`${DEVICE}/tx_bytes`, 'utf8'));
}
