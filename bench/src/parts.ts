// SPDX-License-Identifier: Apache-2.0
// The parts of the bench. Each measures in a process, and on a cluster, of its own.
import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import type { Figure } from './figure.ts';

export interface Place {
  /** The checkout, with a slash behind it. */
  readonly top: string;
  /** Directory of the results. */
  readonly out: string;
}

export interface Result {
  readonly figures: Figure[];
  /** Where it was measured, for people. */
  readonly on: string;
}

export interface Part {
  readonly what: string;
  run(place: Place): Promise<Result>;
}

const figuresOf = async ({ out }: Place, name: string): Promise<Figure[]> =>
  JSON.parse(await readFile(`${out}/${name}.json`, 'utf8')) as Figure[];

/** A program of bench/ that writes its figures to `<out>/<name>.json`, run in the builder in a namespace of its own. */
const isolated =
  (name: string, program: string, on: string) =>
  async (place: Place): Promise<Result> => {
    await inBuilder(place, program);
    return { figures: await figuresOf(place, name), on };
  };

async function inBuilder({ top, out }: Place, program: string): Promise<void> {
  await mkdir(out, { recursive: true });
  await run(`${top}bench/native/run.sh`, [program, out]);
}

/** A program of bench/ that writes its figures to `<out>/<name>.json` and measures on the lab. */
const onLab =
  (name: string, program: string) =>
  async ({ top, out }: Place): Promise<Result> => {
    await run(process.execPath, [`${top}bench/${program}`, out]);
    return { figures: await figuresOf({ top, out }, name), on: 'the lab: two emulated nodes' };
  };

export const parts = {
  native: {
    what: 'the blackout of a plain pod and the transfer, on this machine’s own kernel',
    run: isolated('native', 'native/main.ts', 'two network namespaces of this machine'),
  },
  operator: {
    what: 'the operator’s memory, reconciles and requests, with many nodes, pods and queued requests',
    run: isolated(
      'operator',
      'operator/main.ts',
      'this machine; nodes and agents are only written',
    ),
  },
  packet: {
    what: 'instructions of the packet path, stock driver (floor) and Sealift’s: what a message executes, and what is in the object code',
    run: async (place) => {
      const on = 'an emulated CPU that is stepped; object code of the builder’s compiler';
      await inBuilder(place, 'packet/main.ts');
      const lab = process.env['LAB'] ?? `${place.top}build/lab`;
      await run(process.execPath, [`${place.top}bench/packet/trace.ts`, place.top, lab, place.out]);
      return { figures: await figuresOf(place, 'packet'), on };
    },
  },
  blackout: {
    what: 'the blackout of pods with and without queue pairs, on the lab',
    run: onLab('blackout', 'lab/main.ts'),
  },
  scale: {
    what: 'several moves off one node, and the longest blackout of them beside a lone one’s, on the lab',
    run: onLab('scale', 'lab/scale.ts'),
  },
} as const satisfies Record<string, Part>;

export type PartName = keyof typeof parts;

/** @param wanted names with commas between them; absent or empty: all. @throws Error for a part that there is not */
export function pickParts(wanted: string | undefined): PartName[] {
  const all = Object.keys(parts) as PartName[];
  const names = (wanted ?? '').split(',').filter(Boolean);
  const unknown = names.find((name) => !all.includes(name as PartName));
  if (unknown !== undefined) {
    throw new Error(`BENCH: there is no part ${unknown}. The parts are ${all.join(', ')}.`);
  }
  return names.length === 0 ? all : all.filter((name) => names.includes(name));
}

/** With the output of this process. @throws Error if it fails */
async function run(file: string, args: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (status !== 0)
    throw new Error(`${file} ${args.join(' ')} has ended with status ${String(status)}.`);
}
