// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a dump, found without touching the pod. Before a hold the first finding is enough; a dry run
// lists all of them.
import type { AgentError } from '../../support/errors.ts';

export type Findings = AsyncIterable<AgentError>;

/** @throws the first finding */
export async function throwFirst(findings: Findings): Promise<void> {
  for await (const first of findings) throw first;
}
