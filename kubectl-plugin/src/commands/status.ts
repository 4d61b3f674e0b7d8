// SPDX-License-Identifier: Apache-2.0
// `status`: the requests of a namespace, or how far one of them is.
import { isFinished, summaryOf, type MigrationRequest } from '../../../crds/src/index.ts';
import {
  checkpointRequests,
  listParsed,
  migrationRequests,
  restoreRequests,
  type Resource,
} from '../../../kube/src/index.ts';
import { secondsIn, textIn } from '../values.ts';
import { outputOption, waitOptions, type Command, type Invocation } from '../command.ts';
import { exitCodes, usageError, type ExitCode } from '../exit-codes.ts';
import { age, duration } from '../output.ts';
import { blockOf, progressOf, type Request } from '../progress.ts';
import { hasSucceeded, requestNamed } from '../requests.ts';
import { find } from '../workloads.ts';
import { describe } from './explain.ts';
import { followAll } from './waiting.ts';

export const status: Command = {
  name: 'status',
  summary: 'Show the requests of a namespace, or how far one is.',
  details:
    'REQUEST is the name of a MigrationRequest, or creq/NAME or rreq/NAME. Of a request that has failed the exit code is 1.',
  args: [{ name: 'REQUEST', names: 'request', optional: true }],
  options: {
    'all-namespaces': { type: 'boolean', short: 'A', help: 'Requests of all namespaces.' },
    ...waitOptions,
    output: outputOption,
  },
  run: async (invocation) => {
    const { args, values } = invocation;
    const waits = values['wait'] === true || values['timeout'] !== undefined;
    if (args[0] === undefined && waits) {
      throw usageError('--wait and --timeout need the name of a request: status REQUEST --wait.');
    }
    return args[0] === undefined ? listAll(invocation) : showOne(invocation, args[0]);
  },
};

async function listAll({ values, output, cluster, signal }: Invocation): Promise<ExitCode> {
  const { api, namespace } = cluster();
  const isEverywhere = values['all-namespaces'] === true;
  const found: Request[] = [];
  for (const resource of [migrationRequests, checkpointRequests, restoreRequests]) {
    const selection = { ...(isEverywhere ? {} : { namespace }), signal };
    found.push(...(await listParsed<Request>(api, resource, selection)));
  }
  const format = textIn(values, 'output');
  if (format !== undefined) {
    output.objects(format, found);
    return exitCodes.ok;
  }
  if (found.length === 0) {
    output.note(`There is no request${isEverywhere ? '' : ` in namespace ${namespace}`}.`);
    return exitCodes.ok;
  }
  const header = ['REQUEST', 'WHAT', 'PHASE', 'REASON', 'BLACKOUT', 'AGE'];
  const rows = found.map((one) => rowOf(one, output.streams.now()));
  output.table(
    isEverywhere ? ['NAMESPACE', ...header] : header,
    isEverywhere
      ? rows.map((row, index) => [found[index]?.metadata.namespace ?? '', ...row])
      : rows,
  );
  return exitCodes.ok;
}

const shortNames = {
  MigrationRequest: 'mreq',
  CheckpointRequest: 'creq',
  RestoreRequest: 'rreq',
} as const;

function rowOf(request: Request, now: number): string[] {
  const { name, creationTimestamp } = request.metadata;
  const { title, phase } = progressOf(request, now);
  const ms = (request as MigrationRequest).status?.report?.blackoutMs;
  return [
    `${shortNames[request.kind]}/${name}`,
    ...[title, phase, summaryOf(request)?.reason ?? ''],
    ms === undefined ? '' : duration(ms),
    age(creationTimestamp, now),
  ];
}

async function showOne(invocation: Invocation, text: string): Promise<ExitCode> {
  const { values, output, cluster, signal } = invocation;
  const { api, namespace } = cluster();
  const { resource, name } = requestNamed(text) as { resource: Resource<Request>; name: string };
  const found = await find(api, resource, namespace, name, signal);
  const timeoutSeconds = secondsIn(values, 'timeout');
  const isWaiting = values['wait'] === true || timeoutSeconds !== undefined;
  const [request = found] = isWaiting
    ? await followAll(invocation, resource, [found], timeoutSeconds)
    : [];
  const format = textIn(values, 'output');
  if (format !== undefined) output.objects(format, [request]);
  else show(invocation, request);
  return isFinished(request) && !hasSucceeded(request) ? exitCodes.failed : exitCodes.ok;
}

function show({ output }: Invocation, request: Request): void {
  if (request.kind === 'MigrationRequest' && request.spec.dryRun && isFinished(request)) {
    describe(output, request);
    return;
  }
  for (const line of blockOf(progressOf(request, output.streams.now()))) output.line(line);
  const tried = request.kind === 'CheckpointRequest' ? [] : (request.status?.triedNodes ?? []);
  for (const { nodeName, message } of tried) output.line(`  Node ${nodeName}: ${message}`);
}
