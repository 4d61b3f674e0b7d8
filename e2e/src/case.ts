// SPDX-License-Identifier: Apache-2.0
// What a case is, and what it gets.
import type { Facts } from './report.ts';

export interface Context {
  /** A namespace of the case's own, removed afterwards. */
  readonly namespace: string;
  readonly nodes: readonly [string, string];
  readonly facts: Facts;
  readonly tell: (line: string) => void;
}

export interface Case {
  /** Lower case with dashes; `CASE=` picks by it. */
  readonly name: string;
  /** The promise, as a sentence. */
  readonly promise: string;
  /** Part of `make test`: among those that matter most. */
  readonly inTest?: boolean;
  run(context: Context): Promise<void>;
}

/** A promise was not kept (`code` NotHeld). */
export class NotHeldError extends Error {
  readonly code = 'NotHeld';
  constructor(message: string) {
    super(message);
    this.name = 'NotHeldError';
  }
}

export function expect(held: boolean, otherwise: string): asserts held {
  if (!held) throw new NotHeldError(otherwise);
}

/** Where a failed case leaves what was collected. */
export const artefactsDir = (name: string): string => `build/e2e/artefacts/${name}`;
