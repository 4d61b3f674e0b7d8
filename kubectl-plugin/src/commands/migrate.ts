// SPDX-License-Identifier: Apache-2.0
// `migrate`: a MigrationRequest for each pod that is named, and its progress.
import { migrationRequests, type Pod } from '../../../kube/src/index.ts';
import { textIn } from '../values.ts';
import { outputOption, waitOptions, type Command, type Invocation } from '../command.ts';
import { createRequest, nameFor } from '../requests.ts';
import { podsNamed } from '../workloads.ts';
import { explainPods } from './explain.ts';
import { finish } from './waiting.ts';

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
    ...waitOptions,
    output: outputOption,
  },
  run: async (invocation) => {
    const { values, args, cluster, signal } = invocation;
    const { api, namespace } = cluster();
    const named: Pod[] = [];
    for (const name of args) named.push(...(await podsNamed(api, namespace, name, signal)));
    const pods = new Map(named.map((one) => [one.metadata.uid, one]));
    if (values['dry-run'] === true) return explainPods(invocation, [...pods.values()]);
    return migratePods(invocation, [...pods.values()]);
  },
};

export async function migratePods(
  invocation: Invocation,
  pods: readonly Pod[],
): ReturnType<Command['run']> {
  const { values, cluster, signal } = invocation;
  const { api } = cluster();
  const targetNodeName = textIn(values, 'to');
  const requests = [];
  for (const { metadata } of pods) {
    const { name, namespace } = metadata;
    const spec = { podName: name, ...(targetNodeName === undefined ? {} : { targetNodeName }) };
    const request = { namespace, metadata: nameFor(name), spec };
    requests.push(await createRequest(api, migrationRequests, request, signal));
  }
  return finish(invocation, migrationRequests, requests);
}
