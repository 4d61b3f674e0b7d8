// SPDX-License-Identifier: Apache-2.0
// What the agent reads of a restore that has ended: the plugin's own report, completed where the plugin could say no more.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case } from './harness.ts';
import { CONTAINER, create, restoreReply } from './oci.ts';

const DETACHED = { state: 'detached' };
const PLUGIN = { state: 'failed', code: 'gid', message: 'no such address' };
const FAILED = {
  state: 'failed',
  code: 'runc',
  message: 'runc ended with status 1',
};

/** What the plugin has reported when runc ends; how runc ends; what the agent reads. */
const outcomes: Record<string, [report: object | string | undefined, env: object, read: object]> = {
  'detached, as the plugin says': [DETACHED, {}, DETACHED],
  'detached, by runc’s status': [undefined, {}, DETACHED],
  'failed, as runc kills what it does not keep': [DETACHED, { RUNC_EXIT: '1' }, FAILED],
  'failed, as the plugin says': [PLUGIN, { RUNC_EXIT: '1' }, PLUGIN],
  'failed before the plugin was there': [undefined, { RUNC_EXIT: '1' }, FAILED],
  'failed with a runc that was killed': [
    undefined,
    { RUNC_DIES: 'yes' },
    { ...FAILED, message: 'runc was killed by signal 9' },
  ],
  'failed, with a report that is no JSON': ['{"state":', { RUNC_EXIT: '1' }, FAILED],
};

async function ends(bench: Bench, report: unknown, env: object, read: object): Promise<void> {
  bench.annotate(CONTAINER);
  mkdirSync(join(bench.dir, 'work'));
  const state = join(bench.dir, 'work/sealift-restore.json');
  writeFileSync(state, '{"state":"detached"}');
  await bench.listen(restoreReply(bench));
  const said = typeof report === 'string' ? report : JSON.stringify(report);
  const ended = await bench.run('sealift-runc', create(bench), {
    ...(report === undefined ? {} : { RUNC_STATE: said }),
    ...env,
  });
  assert.equal(ended.status, 'RUNC_EXIT' in env || 'RUNC_DIES' in env ? 1 : 0, ended.stderr);
  assert.deepEqual(JSON.parse(readFileSync(state, 'utf8')), read);
  assert.equal(bench.has('stale'), false);
  assert.equal(bench.has('work/sealift-restore.json.new'), false);
  if (!('RUNC_DIES' in env)) assert.equal(bench.runcEnv('SEALIFT_STATE'), state);
}

async function refusesAStaleState(bench: Bench): Promise<void> {
  bench.annotate(CONTAINER);
  mkdirSync(join(bench.dir, 'work/sealift-restore.json'), { recursive: true });
  await bench.listen(restoreReply(bench));
  const ended = await bench.run('sealift-runc', create(bench));
  assert.match(ended.stderr, /StateFailed: cannot remove /);
  assert.equal(bench.runcArgs(), undefined);
}

export const outcomeCases: Case[] = [
  ...Object.entries(outcomes).map(([name, [report, env, read]]): Case => [
    `outcome: ${name}`,
    (bench) => ends(bench, report, env, read),
  ]),
  ['outcome: an earlier one that cannot be removed is not believed', refusesAStaleState],
];
