// SPDX-License-Identifier: Apache-2.0
// `cancel`: stops a move or a restore that is not decided yet.
import { isFinished, summaryOf, type MigrationRequest } from '../../../crds/src/index.ts';
import { migrationRequests } from '../../../kube/src/index.ts';
import { secondsIn } from '../values.ts';
import { waitOptions, type Command } from '../command.ts';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { outcomeOf } from '../progress.ts';
import { fullName, requestNamed } from '../requests.ts';
import { find } from '../workloads.ts';
import { followAll } from './waiting.ts';

export const cancel: Command = {
  name: 'cancel',
  summary: 'Stop a move or a restore that is not decided yet.',
  details:
    'A MigrationRequest gets spec.cancel, and the pod resumes on its node. Other requests are deleted; with a ' +
    'CheckpointRequest its images go too.',
  args: [{ name: 'REQUEST', names: 'request' }],
  options: waitOptions,
  run: async (invocation) => {
    const { args, values, output, cluster, signal } = invocation;
    const { api, namespace } = cluster();
    const { resource, name } = requestNamed(args[0] ?? '');
    const request = await find(api, resource, namespace, name, signal);
    const { status } = request as MigrationRequest;
    if (isFinished(request)) {
      throw new CommandError(
        exitCodes.failed,
        `${fullName(request)} has ended already (${summaryOf(request)?.reason ?? ''}). There is nothing to cancel.`,
      );
    }
    if (status?.decision?.outcome === 'Committed') {
      throw new CommandError(
        exitCodes.failed,
        `${fullName(request)} is Committed: the pod runs on node ${status.target?.nodeName ?? '?'}. It cannot be cancelled; move the pod back with a new request.`,
      );
    }
    if (resource.kind !== 'MigrationRequest') {
      const { uid } = request.metadata;
      await api.delete(resource, namespace, name, { uid, signal });
      output.line(`${fullName(request)} deleted`);
      return exitCodes.ok;
    }
    const patch = { spec: { cancel: true } };
    const cancelled = await api.merge(migrationRequests, namespace, name, patch, { signal });
    output.line(`${fullName(request)} cancel requested`);
    const timeoutSeconds = secondsIn(values, 'timeout');
    if (values['wait'] !== true && timeoutSeconds === undefined) return exitCodes.ok;
    const [ended] = await followAll(invocation, migrationRequests, [cancelled], timeoutSeconds);
    if (!ended) return exitCodes.failed;
    output.line(`${fullName(ended)} ${outcomeOf(ended)}`);
    return summaryOf(ended)?.reason === 'Cancelled' ? exitCodes.ok : exitCodes.failed;
  },
};
