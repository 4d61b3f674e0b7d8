// SPDX-License-Identifier: Apache-2.0
// `drain`: cordons a node and moves every pod of Sealift's away from it. What is left is for `kubectl drain`.
import {
  evacuationRequest,
  isFinished,
  RUNTIME_CLASS,
  waitsForNode,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import {
  isAlreadyExists,
  isNotFound,
  listParsed,
  migrationRequests,
  nodes,
  pods,
  type Client,
  type Pod,
} from '../../../kube/src/index.ts';
import { priorityIn } from '../values.ts';
import {
  outputOption,
  priorityOption,
  waitOptions,
  type Command,
  type Invocation,
} from '../command.ts';
import { find, mayMove } from '../workloads.ts';
import { explainPods } from './explain.ts';
import { createRequest, hasSucceeded } from '../requests.ts';
import { finish, madeSoFar, nothing } from './waiting.ts';

export const drain: Command = {
  name: 'drain',
  summary: "Cordon a node and move every pod of Sealift's away from it.",
  details:
    'It waits for the end of all moves. A pod that cannot be moved stays, and the exit code is 1. Pods that do not run in ' +
    "Sealift's runtime stay too: kubectl drain evicts them. A StatefulSet's pod has left the node as well if it waits under " +
    'another name for a node on which it gets its own back. Undo it with kubectl uncordon.',
  args: [{ name: 'NODE', names: 'node' }],
  options: {
    'dry-run': { type: 'boolean', help: 'Only say which pods can be moved. Nothing is changed.' },
    priority: priorityOption,
    timeout: waitOptions.timeout,
    output: outputOption,
  },
  run: async (invocation) => {
    const { args, values, output, cluster, signal } = invocation;
    const { api } = cluster();
    const name = args[0] ?? '';
    const priority = priorityIn(values);
    const node = await find(api, nodes, '', name, signal);
    const isDryRun = values['dry-run'] === true;
    if (!isDryRun && !node.spec.unschedulable) {
      await api.merge(nodes, '', name, { spec: { unschedulable: true } }, { signal });
      output.note(`node/${name} cordoned`);
    }
    const { own, others, daemons } = await podsOn(invocation, name);
    if (daemons.length > 0) {
      output.note(
        `${daemons.length} pods of node ${name} belong to DaemonSets and stay: ${listed(daemons)}.`,
      );
    }
    if (others.length > 0) {
      output.note(
        `${others.length} pods of node ${name} do not run in Sealift's runtime and stay: ${listed(others)}. Evict them with kubectl drain.`,
      );
    }
    if (own.length === 0) {
      output.note(`Node ${name} has no running pod of Sealift's.`);
      return nothing(invocation);
    }
    if (isDryRun) return explainPods(invocation, own);
    const requests = await madeSoFar(invocation, own, (pod) =>
      evacuate(api, pod, priority, signal),
    );
    const waiting = { ...invocation, values: { ...values, wait: true } };
    // A landing pod that waits has left the node, and waits for it perhaps.
    return finish(waiting, migrationRequests, requests, waitsForNode);
  },
};

/**
 * The request by which an eviction of the pod would move it: `kubectl drain` beside this command makes no second one, and the
 * end of one is the end of both. One that has failed is made anew.
 */
async function evacuate(
  api: Client,
  pod: Pod,
  priority: number | undefined,
  signal: AbortSignal,
): Promise<MigrationRequest> {
  const { namespace } = pod.metadata;
  const request = { namespace, ...evacuationRequest(pod, 'Drain', { priority }) };
  const { name } = request.metadata;
  for (;;) {
    try {
      return await createRequest(api, migrationRequests, request, signal);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    try {
      const known = await api.get(migrationRequests, namespace, name, { signal });
      if (!isFinished(known) || hasSucceeded(known)) return known;
      await api.delete(migrationRequests, namespace, name, { uid: known.metadata.uid, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}

async function podsOn(
  { cluster, signal }: Invocation,
  node: string,
): Promise<{ own: Pod[]; others: Pod[]; daemons: Pod[] }> {
  const fieldSelector = `spec.nodeName=${node}`;
  const all = await listParsed(cluster().api, pods, { fieldSelector, signal });
  const here = all.filter(mayMove);
  const isOwn = ({ spec }: Pod): boolean => spec.runtimeClassName === RUNTIME_CLASS;
  const own = here.filter(isOwn);
  return {
    own: own.filter((one) => !isDaemon(one)),
    others: here.filter((one) => !isOwn(one)),
    daemons: own.filter(isDaemon),
  };
}

/** Its place is this node, as long as its DaemonSet says so. */
const isDaemon = ({ metadata }: Pod): boolean =>
  metadata.ownerReferences.some(
    ({ kind, controller }) => controller === true && kind === 'DaemonSet',
  );

const listed = (some: readonly Pod[]): string => {
  const names = some.slice(0, 5).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  return names.join(', ') + (some.length > names.length ? ', ...' : '');
};
