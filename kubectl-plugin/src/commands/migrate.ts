// SPDX-License-Identifier: Apache-2.0
// `migrate`: a MigrationRequest for each pod that is named, and its progress.
import { migrationRequests, type Pod } from '../../../kube/src/index.ts';
import { priorityIn, textIn } from '../values.ts';
import {
  outputOption,
  podIPConnectionsOption,
  priorityOption,
  waitOptions,
  type Command,
  type Invocation,
} from '../command.ts';
import { askedOf, createRequest, nameFor } from '../requests.ts';
import { isWorkload, podsNamed } from '../workloads.ts';
import { explainPods } from './explain.ts';
import { finish, madeSoFar, nothing } from './waiting.ts';

export const migrate: Command = {
  name: 'migrate',
  summary: 'Move a running pod, or the pods of a workload, to another node.',
  details:
    'Without --wait the command ends once the request is made. The operator refuses what cannot be moved, and says why.',
  args: [{ name: 'POD|deploy/NAME|sts/NAME', names: 'workload', repeated: true }],
  options: {
    to: {
      type: 'string',
      value: 'NODE',
      help: 'Node to move to. Left out: the operator chooses one.',
      names: 'node',
    },
    'dry-run': { type: 'boolean', help: 'Only say whether it can be moved. The same as explain.' },
    'pod-ip-connections': podIPConnectionsOption,
    priority: priorityOption,
    ...waitOptions,
    output: outputOption,
  },
  run: async (invocation) => {
    const { values, args, cluster, signal } = invocation;
    const { api, namespace } = cluster();
    const priority = priorityIn(values);
    const named: Pod[] = [];
    for (const name of args) {
      const found = await podsNamed(api, namespace, name, signal);
      named.push(...(isWorkload(name) ? without(invocation, found) : found));
    }
    const pods = new Map(named.map((one) => [one.metadata.uid, one]));
    if (pods.size === 0) return nothing(invocation);
    if (values['dry-run'] === true) return explainPods(invocation, [...pods.values()]);
    return migratePods(invocation, [...pods.values()], priority);
  },
};

/** Those that are not on the node of --to yet. A pod that is named by itself may be meant to come back. */
function without({ values, output }: Invocation, found: readonly Pod[]): Pod[] {
  const to = textIn(values, 'to');
  const there = found.filter(({ spec }) => spec.nodeName === to);
  for (const { metadata } of there) {
    output.note(`Pod ${metadata.name} runs on node ${to ?? ''} already, and stays.`);
  }
  return found.filter((one) => !there.includes(one));
}

async function migratePods(
  invocation: Invocation,
  pods: readonly Pod[],
  priority: number | undefined,
): ReturnType<Command['run']> {
  const { values, cluster, signal } = invocation;
  const { api } = cluster();
  const asked = askedOf(values);
  const requests = await madeSoFar(invocation, pods, ({ metadata: { name, namespace } }) => {
    const spec = {
      podName: name,
      ...asked,
      ...(priority === undefined ? {} : { priority }),
    };
    const request = { namespace, metadata: nameFor(name), spec };
    return createRequest(api, migrationRequests, request, signal);
  });
  return finish(invocation, migrationRequests, requests);
}
