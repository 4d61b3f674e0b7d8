// SPDX-License-Identifier: Apache-2.0
// `checkpoint` and `restore`.
import { checkpointRequests, restoreRequests } from '../../../kube/src/index.ts';
import { textIn } from '../values.ts';
import { outputOption, waitOptions, type Command } from '../command.ts';
import { usageError } from '../exit-codes.ts';
import { createRequest, nameFor } from '../requests.ts';
import { find, podsNamed } from '../workloads.ts';
import { finish, madeSoFar } from './waiting.ts';

export const checkpoint: Command = {
  name: 'checkpoint',
  summary: 'Write the state of a running pod to its node. The pod runs on.',
  args: [{ name: 'POD', names: 'pod' }],
  options: {
    name: { type: 'string', value: 'NAME', help: 'Name of the CheckpointRequest.' },
    ...waitOptions,
    output: outputOption,
  },
  run: async (invocation) => {
    const { args, values, cluster, signal } = invocation;
    const { api, namespace } = cluster();
    const found = await podsNamed(api, namespace, args[0] ?? '', signal);
    const name = textIn(values, 'name');
    if (name !== undefined && found.length > 1) {
      throw usageError(
        `--name is for one checkpoint, and ${args[0] ?? ''} has ${found.length} pods. Name one pod, or leave --name out.`,
      );
    }
    const requests = await madeSoFar(invocation, found, ({ metadata }) => {
      const request = {
        namespace,
        metadata: name === undefined ? nameFor(metadata.name) : { name },
        spec: { podName: metadata.name },
      };
      return createRequest(api, checkpointRequests, request, signal);
    });
    return finish(invocation, checkpointRequests, requests);
  },
};

export const restore: Command = {
  name: 'restore',
  summary: 'Make a new pod from a checkpoint.',
  args: [{ name: 'CHECKPOINT', names: 'checkpoint' }],
  options: {
    'pod-name': { type: 'string', value: 'NAME', help: 'Name of the new pod.' },
    to: { type: 'string', value: 'NODE', help: 'Node to restore on.', names: 'node' },
    ...waitOptions,
    output: outputOption,
  },
  run: async (invocation) => {
    const { args, values, cluster, signal } = invocation;
    const { api, namespace } = cluster();
    const checkpointName = args[0] ?? '';
    await find(api, checkpointRequests, namespace, checkpointName, signal);
    const [podName, targetNodeName] = [textIn(values, 'pod-name'), textIn(values, 'to')];
    const request = {
      namespace,
      metadata: nameFor(checkpointName),
      spec: {
        checkpointName,
        ...(podName === undefined ? {} : { podName }),
        ...(targetNodeName === undefined ? {} : { targetNodeName }),
      },
    };
    const made = await createRequest(api, restoreRequests, request, signal);
    return finish(invocation, restoreRequests, [made]);
  },
};
