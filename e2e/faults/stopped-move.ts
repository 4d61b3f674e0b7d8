// SPDX-License-Identifier: Apache-2.0
// A move that something happens to while its source's agent stands at a fault point, and that ends without its target.
import type { CaseContext } from '../src/case.ts';
import { waitUntilTargetGone } from '../src/checks.ts';
import { cancelMove, requestMove, type MoveOptions } from '../src/move.ts';
import { podNames } from '../src/pods.ts';
import { deleteRequest, migration, waitUntilEnded } from '../src/requests.ts';
import { arm, disarm, waitUntilTripped } from './arming.ts';

interface Stop {
  /** The node of the move's pod. */
  readonly source: string;
  readonly point: string;
}

/** @param by gets the request's name while the agent waits for five seconds */
export async function stopMove(
  { nodes }: CaseContext,
  wanted: MoveOptions,
  { source, point }: Stop,
  by: (name: string) => Promise<unknown>,
): Promise<void> {
  const pods = await podNames(wanted.namespace);
  await arm(source, [point], 'delay:5000');
  try {
    const name = await requestMove(wanted);
    await waitUntilTripped(source, point, 180);
    await by(name);
  } finally {
    await disarm(nodes);
  }
  await waitUntilTargetGone(wanted.namespace, pods);
}

/** A move that its user cancels when all images are written, and whose request is deleted then. */
export const abortInTransfer = (
  context: CaseContext,
  wanted: MoveOptions,
  source: string,
): Promise<void> =>
  stopMove(context, wanted, { source, point: 'source.transfer.before' }, async (name) => {
    const { namespace } = wanted;
    await cancelMove(namespace, name);
    await waitUntilEnded(migration, { namespace, name }, context.log);
    await deleteRequest(migration, namespace, name);
  });
