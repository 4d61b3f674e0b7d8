// SPDX-License-Identifier: Apache-2.0
// What to do next about a MigrationRequest with spec.dryRun: the operator lists what it would refuse itself, lets the agent of
// the pod's node look at the pod, and ends the request. It creates nothing and writes no decision: docs/adr/0020. Pure.
import {
  applied,
  bandwidthOf,
  connectionsText,
  dryRunConditionTypes,
  isFinished,
  RUNTIME_CLASS,
  type Finding,
  type Inspection,
  type MigrationRequest,
  type ObjectCounts,
} from '../../../crds/src/index.ts';
import { timestamp, type Node, type Pod } from '../../../kube/src/index.ts';
import { agentProblem } from '../nodes/node-choice.ts';
import { inspectionMs, pollMs } from '../requests/deadlines.ts';
import { planRemaining } from '../requests/handover.ts';
import { sentences } from '../requests/message.ts';
import { StatusDraft } from '../requests/status-draft.ts';
import type { Refusal } from '../refusal.ts';
import { refuseOtherTarget } from '../target-pod/target-differences.ts';
import { noteOf } from './early-services.ts';
import {
  ownedStatus,
  type Effect,
  type MigrationPlan,
  type Observed,
  type OwnStatus,
} from './types.ts';
import { addressesOn, placeWithMemory, sourceOf, validateAll } from './validate.ts';

/** Findings that leave the agent nothing to look at: there is no container of ours, or another request works on it. */
const withoutPod: readonly string[] = [
  ...['PodNotFound', 'PodNotRunning', 'NotSealiftRuntime', 'AnotherMigration'],
  'SourceNodeUnavailable',
];

type Draft = StatusDraft<(typeof dryRunConditionTypes)[number], OwnStatus, Effect>;

export function decideDryRun(observed: Observed, now: number): MigrationPlan {
  const { request } = observed;
  if (isFinished(request)) return planRemaining<OwnStatus>(observed, ownedStatus, now);
  const draft: Draft = new StatusDraft(request, dryRunConditionTypes, ownedStatus, now);
  // Nothing has to be undone: no finalizer keeps the request.
  if (request.metadata.deletionTimestamp !== undefined) return { status: undefined, effects: [] };
  if (request.spec.cancel) {
    const plan = draft.finish(
      false,
      'Cancelled',
      'The user cancelled the dry run: spec.cancel is set.',
    );
    return { ...plan, status: { ...plan.status, phase: 'Cancelled' } };
  }
  return request.status?.source ? followAgent(observed, draft) : begin(observed, draft);
}

function begin(observed: Observed, draft: Draft): MigrationPlan {
  const { sourcePod } = observed;
  const { findings, target } = validateAll(observed);
  // The agent looks at the pod by what the policy says.
  draft.status.policy = observed.policy && applied(observed.policy);
  const trial = trialResult(observed);
  const notes = [noteOf(observed.earlyServices ?? []), trial.note].filter(
    (one) => one !== undefined,
  );
  const inspection: Inspection = {
    ...(notes.length > 0 && { notes }),
    ...(target && placeOn(observed, target)),
    findings: [...findings.map(findingOf), ...trial.findings],
  };
  if (!sourcePod || findings.some((one) => withoutPod.includes(one.reason))) {
    return conclude(observed, draft, inspection);
  }
  const node = observed.nodes.find((one) => one.metadata.name === sourcePod.spec.nodeName);
  if (!node || agentProblem(node) !== undefined) return conclude(observed, draft, inspection);
  const prepare = timestamp(draft.now + inspectionMs);
  const source = sourceOf(observed, sourcePod);
  draft.status = { ...draft.status, inspection, source, deadlines: { prepare } };
  draft.progress.waiting(
    'Succeeded',
    'Inspecting',
    `The Sealift agent of node ${source.nodeName} looks at the pod.`,
  );
  return draft.plan('Inspecting', [], pollMs);
}

/** What admission would make of the target. */
function trialResult({ sourcePod, targetTrial: trial }: Observed): {
  readonly findings: readonly Finding[];
  readonly note?: Finding;
} {
  // A pod in another runtime has no target that could be like it.
  if (!trial || sourcePod?.spec.runtimeClassName !== RUNTIME_CLASS) return { findings: [] };
  if (trial.rejection !== undefined) {
    const why = trial.rejection.slice(0, mostOfAnswer);
    const message = `The API server would refuse the target pod: ${why} See the admission policies and quotas of the namespace.`;
    return { findings: [{ reason: 'TargetRejected', message }] };
  }
  if (trial.untried !== undefined) {
    const message = `Whether webhooks and policies would let the target in was not found out: ${trial.untried.slice(0, mostOfAnswer)}`;
    return { findings: [], note: { reason: 'TargetNotTried', message } };
  }
  const difference = refuseOtherTarget(sourcePod, trial.target);
  return { findings: difference ? [findingOf(difference)] : [] };
}

type Place = Pick<Inspection, 'targetNodeName' | 'keepsAddresses'>;

const noPlace: Place = { targetNodeName: undefined, keepsAddresses: undefined };
const placeOn = (observed: Observed, node: Node): Place => ({
  targetNodeName: node.metadata.name,
  keepsAddresses: addressesOn(observed, [node]).podIPs !== undefined,
});

function followAgent(observed: Observed, draft: Draft): MigrationPlan {
  const { sourceAgent, inspection, deadlines } = observed.request.status ?? {};
  const own = inspection ?? { findings: [] };
  const more = (reason: string, message: string): MigrationPlan =>
    conclude(observed, draft, { ...own, findings: [...own.findings, { reason, message }] });
  if (sourceAgent?.inspection) {
    const { findings, objects, bytes, sendingMs, lostConnections } = sourceAgent.inspection;
    const place = own.targetNodeName === undefined ? undefined : placeWithMemory(observed);
    const lacking = place && 'reason' in place ? [findingOf(place)] : [];
    return conclude(observed, draft, {
      ...own,
      ...(place && ('reason' in place ? noPlace : placeOn(observed, place))),
      findings: [...own.findings, ...lacking, ...findings],
      ...(objects && { objects }),
      ...(bytes && { bytes }),
      ...(sendingMs !== undefined && { sendingMs }),
      ...(lostConnections !== undefined && { lostConnections }),
    });
  }
  const problem = withoutAgent(observed, draft.now);
  if (problem) return more(problem.reason, problem.message);
  const waitMs = Date.parse(deadlines?.prepare ?? '') - draft.now;
  return draft.plan('Inspecting', [], Math.min(pollMs, waitMs + 1));
}

/** Why the request ends although the agent has not looked; undefined while it may. */
function withoutAgent({ request, sourcePod }: Observed, now: number): Finding | undefined {
  const { source, sourceAgent, deadlines } = request.status ?? {};
  // An agent of an earlier version knows no dry run: it says the first thing that is in the way.
  if (sourceAgent?.state === 'Failed') {
    const { reason = 'SourceFailed', message = '' } = sourceAgent;
    return { reason, message };
  }
  if (sourcePod?.metadata.uid !== source?.podUID) {
    const message = `Pod ${source?.podName ?? ''} was deleted or replaced meanwhile.`;
    return { reason: 'SourceGone', message };
  }
  if (now < Date.parse(deadlines?.prepare ?? '')) return undefined;
  return {
    reason: 'NotInspected',
    message: `The Sealift agent of node ${source?.nodeName ?? ''} has not looked at the pod within ${inspectionMs / 1000} s. See the agent's pod on that node; an agent of an earlier version cannot.`,
  };
}

const findingOf = ({ reason, message }: Refusal): Finding => ({ reason, message });

/** Texts of a condition are this long at most (crds/src/atoms.ts). */
const maxMessage = 4096;
/** And so are findings (crds/src/inspection.ts). */
const maxFindings = 160;
const maxFinding = 2048;
/** Webhooks may answer what they like. */
const mostOfAnswer = 1024;

function conclude(
  { request, sourcePod }: Observed,
  draft: Draft,
  inspection: Inspection,
): MigrationPlan {
  const findings = inspection.findings
    .slice(0, maxFindings)
    .map(({ reason, message }) => ({ reason, message: message.slice(0, maxFinding) }));
  draft.status.inspection = { ...inspection, findings };
  const text = findings.length === 0 ? movable(request, sourcePod, inspection) : refused(findings);
  const isMovable = findings.length === 0;
  const message = text.length > maxMessage ? `${text.slice(0, maxMessage - 3)}...` : text;
  return draft.finish(isMovable, isMovable ? 'Movable' : 'NotMovable', message);
}

function movable(
  { spec, status }: MigrationRequest,
  pod: Pod | undefined,
  inspection: Inspection,
): string {
  const { targetNodeName = '', keepsAddresses, notes = [], objects, bytes, sendingMs } = inspection;
  const from = pod?.spec.nodeName ?? '';
  const size = (bytes?.pages ?? 0) + (bytes?.rootfs ?? 0);
  const ips = pod?.status.podIPs.map(({ ip }) => ip).join(' and ');
  const address = keepsAddresses === true && ips ? ` It keeps its address ${ips}.` : '';
  const { lostConnections: lost = 0 } = inspection;
  const reset =
    lost > 0 ? ` It loses ${connectionsText(lost)} at ${ips ?? ''}, whose peers get a reset.` : '';
  const bandwidth = bandwidthOf(status?.policy);
  const sending =
    bandwidth && sendingMs !== undefined
      ? `. Sending them takes ${(sendingMs / 1000).toFixed(1)} s at ${bandwidth.text}, in which it stands still`
      : '';
  const mib = Math.ceil(size / 2 ** 20);
  const answer = `Dry run: pod ${spec.podName} can be moved from node ${from} to node ${targetNodeName}, with ${countsOf(objects)} and about ${mib} MiB${sending}.${address}${reset}`;
  return sentences([answer, ...notes.map(({ message }) => message)]);
}

function countsOf(objects: ObjectCounts | undefined): string {
  const count = (number: number | undefined, name: string): string =>
    `${number ?? 0} ${name}${number === 1 ? '' : 's'}`;
  return `${count(objects?.qp, 'queue pair')}, ${count(objects?.mr, 'memory region')}`;
}

function refused(findings: readonly Finding[]): string {
  const [first] = findings;
  if (findings.length === 1) return `Dry run: ${first?.message ?? ''}`;
  const list = findings.map(({ message }, index) => `(${index + 1}) ${message}`);
  return `Dry run: ${findings.length} things are in the way. ${list.join(' ')}`;
}
