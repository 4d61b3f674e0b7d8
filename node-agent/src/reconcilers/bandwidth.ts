// SPDX-License-Identifier: Apache-2.0
// Whether a pod's images can be sent in time at the bandwidth that its policy allows. The pod stands still meanwhile: what
// cannot be in time is refused before it is touched.
import {
  bandwidthOf,
  LEAST_MOVE_MS,
  MOST_BYTES_PER_MS,
  secondsOfStep,
  sendingMs,
  timeoutsOf,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import type { Checkpointer, LocalPod } from '../node/dump/checkpointer.ts';
import { AgentError } from '../support/errors.ts';

type Limited = Pick<MigrationRequest, 'spec' | 'status'>;

/** Bytes that have to be sent at least. Files are counted only where a limit makes them matter. Changes nothing. */
export async function leastSent(
  request: Limited,
  checkpointer: Pick<Checkpointer, 'leastBytes' | 'fileBytes'>,
  pod: LocalPod,
): Promise<number> {
  const memory = await checkpointer.leastBytes(pod);
  if (!bandwidthOf(request.status?.policy)) return memory;
  return memory + ((await checkpointer.fileBytes(pod)) ?? 0);
}

/** @throws AgentError BandwidthTooLow */
export function checkBandwidth(request: Limited, bytes: number): void {
  const bandwidth = bandwidthOf(request.status?.policy);
  if (!bandwidth) return;
  const timeouts = timeoutsOf(request);
  const ms = sendingMs(bytes, bandwidth);
  const wholeMs = ms + Math.floor(bytes / MOST_BYTES_PER_MS) + LEAST_MOVE_MS;
  const stepSeconds = secondsOfStep(timeouts, 'transfer');
  const { blackoutSeconds } = timeouts;
  const isStep = ms > stepSeconds * 1000;
  if (!isStep && wholeMs <= blackoutSeconds * 1000) return;
  const limit = isStep
    ? `step transfer may take ${stepSeconds} s (timeouts.transferSeconds`
    : `the whole move, which then needs ${(wholeMs / 1000).toFixed(1)} s, ${blackoutSeconds} s (timeouts.blackoutSeconds`;
  throw new AgentError(
    'BandwidthTooLow',
    `Sending at least ${Math.round(bytes / 2 ** 20)} MiB takes ${(ms / 1000).toFixed(1)} s at ${bandwidth.text}, and ${limit} ` +
      'of the request and of the policy). Raise limits.bandwidthPerMigration of the policy, or that limit.',
  );
}
