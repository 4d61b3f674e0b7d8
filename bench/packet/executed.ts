// SPDX-License-Identifier: Apache-2.0
// Counts the instructions that a module has executed for each message, from QEMU's trace of single steps.
import type { Placed } from './symbols.ts';

/** QEMU is about to execute an instruction: `Trace 0: 0x7f... [cs_base/address/flags/cflags]`. */
const STEP = /^Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+\/f*([0-9a-f]+)\//;
/** An interrupt came before it: `Stopped execution of TB chain before 0x7f... [address]`. */
const NOT_EXECUTED = /^Stopped execution of TB chain before 0x[0-9a-f]+ \[f*([0-9a-f]+)\]/;

export class Executed {
  readonly #functions: readonly Placed[];
  readonly #delimiter: string;
  readonly #messages: Map<string, number>[] = [];
  /** Address and function of the last instruction. */
  #last: { readonly address: number; readonly name: string | undefined } | undefined;

  /**
   * @param functions by rising address, none of which overlap
   * @param delimiter the function that is called once for each message
   */
  constructor(functions: readonly Placed[], delimiter: string) {
    this.#functions = functions;
    this.#delimiter = delimiter;
  }

  /** Lines that are neither of both are skipped: the trace has lines of other subjects. */
  add(line: string): void {
    const stopped = NOT_EXECUTED.exec(line)?.[1];
    if (stopped !== undefined) {
      if (this.#last?.address === parseInt(stopped, 16)) this.#takeBack();
      return;
    }
    const step = STEP.exec(line)?.[1];
    if (step !== undefined) this.#step(parseInt(step, 16));
  }

  /** The messages that were traced from beginning to end: instructions of each function. */
  get messages(): readonly ReadonlyMap<string, number>[] {
    return this.#messages.slice(0, -1);
  }

  /** Names of all functions that have executed something, sorted. */
  get names(): readonly string[] {
    return [...new Set(this.messages.flatMap((one) => [...one.keys()]))].sort();
  }

  #step(address: number): void {
    // A string instruction is traced once for each of its repetitions.
    if (address === this.#last?.address) return;
    const placed = this.#functionAt(address);
    this.#last = { address, name: placed?.name };
    if (placed === undefined) return;
    if (placed.name === this.#delimiter && placed.start === address) this.#messages.push(new Map());
    this.#count(placed.name, 1);
  }

  #takeBack(): void {
    const name = this.#last?.name;
    this.#last = undefined;
    if (name !== undefined) this.#count(name, -1);
  }

  #count(name: string, by: number): void {
    const counts = this.#messages.at(-1);
    counts?.set(name, (counts.get(name) ?? 0) + by);
  }

  #functionAt(address: number): Placed | undefined {
    let [low, high] = [0, this.#functions.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#functions[middle]?.end ?? Infinity) <= address) low = middle + 1;
      else high = middle;
    }
    const one = this.#functions[low];
    return one !== undefined && one.start <= address ? one : undefined;
  }
}
