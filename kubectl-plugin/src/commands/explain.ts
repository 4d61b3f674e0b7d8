// SPDX-License-Identifier: Apache-2.0
// `explain`: a dry run. Whether a pod can be moved, and if not, everything that is in the way.
import { bandwidthOf, connectionsText, summaryOf } from '../../../crds/src/index.ts';
import type { Bytes, MigrationRequest, ObjectCounts } from '../../../crds/src/index.ts';
import { migrationRequests, type Client, type Pod } from '../../../kube/src/index.ts';
import { secondsIn, textIn } from '../values.ts';
import {
  outputOption,
  podIPConnectionsOption,
  waitOptions,
  type Command,
  type Invocation,
} from '../command.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { duration, size, type Output } from '../output.ts';
import { askedOf, createRequest, follow, hasSucceeded, nameFor } from '../requests.ts';
import { podsNamed } from '../workloads.ts';

/** The operator ends a dry run within a minute. */
const WAIT_SECONDS = 120;
/** If the plugin cannot delete the request, the operator does. */
const KEEP_SECONDS = 600;

export const explain: Command = {
  name: 'explain',
  summary: 'Say whether a pod can be moved, and if not, everything that is in the way.',
  details:
    'It makes a MigrationRequest with spec.dryRun, and deletes it at the end. The pod is not touched.',
  args: [{ name: 'POD|deploy/NAME|sts/NAME', names: 'workload', repeated: true }],
  options: {
    to: { type: 'string', value: 'NODE', help: 'Ask for a move to this node.', names: 'node' },
    'pod-ip-connections': podIPConnectionsOption,
    keep: { type: 'boolean', help: 'Keep the request.' },
    timeout: { ...waitOptions.timeout, help: `Wait so long at most: ${WAIT_SECONDS} s.` },
    output: outputOption,
  },
  run: async (invocation) => {
    const { api, namespace } = invocation.cluster();
    const pods: Pod[] = [];
    for (const name of invocation.args) {
      pods.push(...(await podsNamed(api, namespace, name, invocation.signal)));
    }
    return explainPods(invocation, pods);
  },
};

export async function explainPods(invocation: Invocation, pods: readonly Pod[]): Promise<ExitCode> {
  const { values, output, cluster, signal } = invocation;
  const { api } = cluster();
  const asked = askedOf(values);
  const requests: MigrationRequest[] = [];
  try {
    for (const { metadata } of pods) {
      const { name, namespace } = metadata;
      const spec = {
        ...{ podName: name, dryRun: true, ttlSecondsAfterFinished: KEEP_SECONDS },
        ...asked,
      };
      const request = { namespace, metadata: nameFor(name), spec };
      requests.push(await createRequest(api, migrationRequests, request, signal));
    }
    const ended = await follow(api, {
      ...{ resource: migrationRequests, requests, seen: () => undefined, signal },
      timeoutSeconds: secondsIn(values, 'timeout') ?? WAIT_SECONDS,
      areTemporary: values['keep'] !== true,
    });
    const format = textIn(values, 'output');
    if (format !== undefined) output.objects(format, ended);
    else for (const one of ended) describe(output, one);
    return ended.every(hasSucceeded) ? exitCodes.ok : exitCodes.failed;
  } finally {
    if (values['keep'] !== true) await remove(api, requests);
  }
}

async function remove(api: Client, requests: readonly MigrationRequest[]): Promise<void> {
  for (const { metadata } of requests) {
    // It has a lifetime of its own: a failure here must not hide the answer.
    await api
      .delete(migrationRequests, metadata.namespace, metadata.name, { uid: metadata.uid })
      .catch(() => undefined);
  }
}

/** What a dry run has found, for people. */
export function describe(output: Output, request: MigrationRequest): void {
  const { inspection, source } = request.status ?? {};
  const { findings = [], notes = [], objects, bytes, sendingMs } = inspection ?? {};
  const { lostConnections } = inspection ?? {};
  const bandwidth = bandwidthOf(request.status?.policy);
  const where = source ? ` on node ${source.nodeName}` : '';
  output.line(`Pod ${request.metadata.namespace}/${request.spec.podName}${where}`);
  output.line(`  ${verdictOf(request)}`);
  for (const [index, { reason, message }] of findings.entries()) {
    output.line(`  ${index + 1}. ${reason}: ${message}`);
  }
  for (const { message } of notes) output.line(`  Note: ${message}`);
  if (objects) output.line(`  It has ${countsOf(objects)},`);
  if (bytes) output.line(`  ${size(bytes.pages ?? 0)} of memory and ${filesOf(bytes)} of files.`);
  if (lostConnections !== undefined) {
    const lost = connectionsText(lostConnections);
    output.line(`  It would lose ${lost} at its own IP, whose peers get a reset.`);
  }
  if (bandwidth && sendingMs !== undefined) {
    output.line(`  Sending them takes ${duration(sendingMs)} at ${bandwidth.text}.`);
  }
}

function verdictOf(request: MigrationRequest): string {
  const { findings = [], targetNodeName, keepsAddresses } = request.status?.inspection ?? {};
  if (hasSucceeded(request)) {
    const address = keepsAddresses === true ? ', and keeps its addresses' : '';
    return `can be moved to node ${targetNodeName ?? '?'}${address}.`;
  }
  if (findings.length > 0) return `cannot be moved: ${findings.length} in the way.`;
  return summaryOf(request)?.message ?? 'was not looked at.';
}

const filesOf = ({ rootfs }: Bytes): string =>
  rootfs === undefined ? 'an unknown amount' : size(rootfs);

const countsOf = ({ qp, cq, mr, srq, ah }: ObjectCounts): string =>
  [
    counted(qp, 'queue pair'),
    counted(cq, 'completion queue'),
    counted(mr, 'memory region'),
    counted(srq, 'shared receive queue'),
    counted(ah, 'address handle'),
  ].join(', ');

const counted = (number = 0, name: string): string => `${number} ${name}${number === 1 ? '' : 's'}`;
