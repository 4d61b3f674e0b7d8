// SPDX-License-Identifier: Apache-2.0
// A peer ends a connection of each move that is committed, when the images are made long since and the source still answers. The
// copy that runs obeys that, unless its agent has waited for the source's report in vain (docs/adr/0034).
import type { Nak } from '../../crds/src/index.ts';
import { TARGET_WAIT_MS } from '../../node-agent/src/reconcilers/handover-waits.ts';
import type { Sandbox } from './node/machine.ts';

/** What the monitor remembers of one committed move. */
export interface NakRecord {
  readonly nak: Nak;
  /** The sandbox of a source that is reset or deleted takes what it was told with it. */
  lost: boolean;
  /** The target may resume without: after its whole wait, or where its request has ended before the source's report. */
  excused: boolean;
  /** The sandbox in which the target answered first. One that a reset has put in its place has not been restored, or anew. */
  answered?: string | undefined;
}

/** The peer tells the source. @returns undefined: nobody hears it */
export function tellSource(source: Sandbox | undefined, now: number): NakRecord | undefined {
  if (source?.lock !== 'source' || source.device?.held !== true) return undefined;
  source.device.nak ??= { qpn: 17, psn: Math.floor(now) % 0x1000000, syndrome: 0x62 };
  return { nak: source.device.nak, lost: false, excused: false };
}

interface Sides {
  readonly source: Sandbox | undefined;
  readonly target: Sandbox | undefined;
  /** Since when the target answers, in virtual milliseconds. Undefined: it does not. */
  readonly targetSince: number | undefined;
  /** The source's agent has reported that it is gone. */
  readonly isReported: boolean;
  /** The request has finished, or is gone: the target waits for nothing. */
  readonly isOver: boolean;
}

/** Brings the record up to date. @returns the violation's code and text, if there is one */
export function checkNak(
  record: NakRecord,
  { source, target, targetSince, isReported, isOver }: Sides,
  now: number,
): [string, string] | undefined {
  // What the target has resumed with stays.
  if (!source?.device && !isResumed(target)) record.lost = true;
  if (targetSince !== undefined) record.answered ??= target?.id;
  record.excused ||= isAnother(record, target) || hasWaited(targetSince, now);
  if (!isResumed(target)) return undefined;
  const { obeyed } = target.device ?? {};
  if (obeyed?.psn === record.nak.psn) return undefined;
  record.excused ||= !isReported && isOver;
  if (record.lost || record.excused) return undefined;
  return ['LostNak', `${target.id} was resumed and obeys ${obeyed?.psn ?? 'no NAK'}`];
}

const isAnother = ({ answered }: NakRecord, target: Sandbox | undefined): boolean =>
  answered !== undefined && target?.id !== answered;

const hasWaited = (targetSince: number | undefined, now: number): boolean =>
  targetSince !== undefined && now - targetSince >= TARGET_WAIT_MS;

/** In a sandbox that is new since a reset of the node, the device is not held yet. */
const isResumed = (target: Sandbox | undefined): target is Sandbox =>
  target?.device?.held === false && target.connected && target.lock === 'none';
