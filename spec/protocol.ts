// SPDX-License-Identifier: Apache-2.0
// The protocol as one table: what happens, who does it, and what it is called in the journal, in the API, in the report,
// among the fault points and in the model. docs/protocol.md is generated from it.
import { aborted } from './steps/aborted.ts';
import { anotherNode } from './steps/another-node.ts';
import { checkpoint } from './steps/checkpoint.ts';
import { committed, retries, secondMove } from './steps/committed.ts';
import { dryRun } from './steps/dry-run.ts';
import { memory } from './steps/memory.ts';
import { restore } from './steps/restore.ts';
import type { Kind, Row } from './steps/row.ts';
import { undecided } from './steps/undecided.ts';

export interface Section<K extends Kind = Kind> {
  readonly title: string;
  readonly kind: K;
  readonly rows: readonly Row<K>[];
}

const section = <K extends Kind>(kind: K, title: string, rows: readonly Row<K>[]): Section<K> => ({
  title,
  kind,
  rows,
});

export const protocol: readonly [
  ...Section<'MigrationRequest'>[],
  Section<'RestoreRequest'>,
  Section<'RestoreRequest'>,
  Section<'CheckpointRequest'>,
] = [
  section('MigrationRequest', 'Migration, up to the decision', undecided),
  section('MigrationRequest', 'Migration, a node that has the memory', memory),
  section('MigrationRequest', 'Migration, a dry run', dryRun),
  section('MigrationRequest', 'Migration, another node for the target', anotherNode),
  section('MigrationRequest', 'Migration, after Committed', committed),
  section('MigrationRequest', 'Migration, from a landing pod on', secondMove),
  section('MigrationRequest', 'Migration, a target that fails after Committed', retries),
  section('MigrationRequest', 'Migration, after a failure or Aborted', aborted),
  section('RestoreRequest', 'Restore', restore),
  section('RestoreRequest', 'Restore, another node for the new pod', anotherNode),
  section('CheckpointRequest', 'Checkpoint', checkpoint),
];

/** Every row of a kind of request. */
export const rowsOf = <K extends Kind>(kind: K): readonly Row<K>[] =>
  protocol.flatMap((one) => (one.kind === kind ? (one.rows as readonly Row<K>[]) : []));
