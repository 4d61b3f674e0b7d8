// SPDX-License-Identifier: Apache-2.0
// What a case is, and what the runner passes to it.
import type { Ability } from './provider/provider.ts';
import type { Results } from './report.ts';

export interface CaseContext {
  /** The case's own namespace. The runner deletes it afterwards. */
  readonly namespace: string;
  readonly nodes: readonly [string, string];
  /** Where the case adds what it has measured. */
  readonly results: Results;
  readonly log: (line: string) => void;
}

export interface Case {
  /** Lower case with dashes. `CASE=` selects by it. */
  readonly name: string;
  /** What Sealift promises and the case tries to break, as a sentence. */
  readonly promise: string;
  /** `make test` runs it. */
  readonly inTest?: boolean;
  /** It runs only if CASE names it: another case shows the same, together with its like. */
  readonly onlyByName?: true;
  /** What it does to nodes. It is skipped where the cluster's provider cannot do that. */
  readonly needs?: readonly Ability[];
  /** What it looks at before the suite installs Sealift. Not called where Sealift is there already. */
  readonly beforeInstall?: (nodes: CaseContext['nodes']) => Promise<void>;
  run(context: CaseContext): Promise<void>;
}

/** Sealift has broken the promise (`code` PromiseBroken). */
export class PromiseBrokenError extends Error {
  readonly code = 'PromiseBroken';
  constructor(message: string) {
    super(message);
    this.name = 'PromiseBrokenError';
  }
}

/** @throws PromiseBrokenError with the message, unless the condition is true */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new PromiseBrokenError(message);
}

/** Where the runner leaves what it collects when a case fails. */
export const artefactsDir = (name: string): string => `build/e2e/artefacts/${name}`;
