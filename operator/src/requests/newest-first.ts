// SPDX-License-Identifier: Apache-2.0
// The order in which the checkpoints of a pod were taken. A pod never leaves its node, so that one agent takes all of them, and
// says by that node's clock when it began each: no two clocks are compared. `completionTime` is of whichever operator led. Pure.
import { isStored, type CheckpointRequest } from '../../../crds/src/index.ts';

/** Those of this very pod that have images: the memory of another pod of that name is not its memory. */
export const storedOf = (
  podUid: string | undefined,
  checkpoints: readonly CheckpointRequest[],
): CheckpointRequest[] =>
  checkpoints.filter((one) => isStored(one) && one.status?.podUID === podUid);

/** @param own checkpoints of one pod */
export function newestFirst(own: readonly CheckpointRequest[]): CheckpointRequest[] {
  // An agent whose steps were lost leaves the API server's clock, for all of them.
  const timeOf = own.every((one) => takenAt(one) !== undefined) ? takenAt : createdAt;
  return own.toSorted(
    (a, b) =>
      compare(timeOf(b), timeOf(a)) ||
      compare(createdAt(b), createdAt(a)) ||
      compare(b.metadata.uid, a.metadata.uid),
  );
}

/** The device was held then: the images are of that moment. */
const takenAt = ({ status }: CheckpointRequest): string | undefined =>
  sortable(status?.agent?.steps?.find(({ name }) => name === 'hold')?.startTime);

const createdAt = ({ metadata }: CheckpointRequest): string | undefined =>
  sortable(metadata.creationTimestamp);

/** RFC 3339 in UTC with as many digits of a second each, whose order is that of the text. */
function sortable(time: string | undefined): string | undefined {
  const [, seconds, digits = ''] = /^(.{19})(?:\.(\d+))?Z$/.exec(time ?? '') ?? [];
  return seconds && `${seconds}.${digits.padEnd(9, '0')}`;
}

const compare = (a = '', b = ''): number => (a < b ? -1 : Number(a > b));
