// SPDX-License-Identifier: Apache-2.0
// What the OCI wrapper does not understand it refuses: the container might be a target, which must not be made from nothing.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bench, type Case } from './harness.ts';
import { CONTAINER, CRIO, create, restoreReply } from './oci.ts';

const RUN = { ok: true, action: 'run' };
const SANDBOX = { ...CONTAINER, 'io.kubernetes.cri.container-type': 'sandbox' };
const CRIO_SANDBOX = { ...CRIO, 'io.kubernetes.cri-o.ContainerType': 'sandbox' };

const config = (rest: string, annotations: object = CONTAINER): string =>
  `{"ociVersion":"1.1.0","annotations":${JSON.stringify(annotations)}${rest}}`;
const rlimit = (value: string): string =>
  `,"process":{"rlimits":[{"type":"RLIMIT_CORE","hard":${value},"soft":${value}}]}`;

/** Whole texts of config.json with which the agent is asked all the same. */
const readable: Record<string, string> = {
  'an rlimit of RLIM_INFINITY': config(rlimit('18446744073709551615')),
  'a number just above 2^63-1': config(rlimit('9223372036854775808')),
  'a number just below -2^63': config(rlimit('-9223372036854775809')),
  'an argument with a NUL': config(',"process":{"args":["a\\u0000b"]}'),
};

const without = (key: string): string =>
  config('', Object.fromEntries(Object.entries(CONTAINER).filter(([name]) => !name.endsWith(key))));

/** Texts of config.json that say nothing of a container; undefined: there is no such file. */
const unreadable: Record<string, string | undefined> = {
  'no config.json': undefined,
  'an empty config.json': '',
  'half of a config.json': config('').slice(0, -20),
  'a config.json with something behind it': `${config('')}{}`,
  'a config.json that is an array': `[${config('')}]`,
  'a config.json nested without end': config(`,"x":${'['.repeat(100_000)}`),
  'a number of no size': config(rlimit('1e999')),
  'no annotations': config('', {}),
  'annotations that are a list': config('', [CONTAINER]),
  'no pod': without('sandbox-name'),
  'no namespace': without('sandbox-namespace'),
  'no container name': without('container-name'),
  'no kind': without('container-type'),
  'another kind': config('', { ...CONTAINER, 'io.kubernetes.cri.container-type': 'vm' }),
  'a pod whose name holds a NUL': config('', {
    ...CONTAINER,
    'io.kubernetes.cri.sandbox-name': 'pod-0\0',
  }),
  'labels of CRI-O that are no JSON': config('', {
    ...CRIO,
    'io.kubernetes.cri-o.Labels': '{',
  }),
  // A pod may be allowed annotations of its own there; the bundle does not say whose they are.
  'a sandbox by one runtime and a container by another': config('', { ...CRIO, ...SANDBOX }),
};

/** Command lines that are refused; `B` stands for the bundle. */
const misunderstood: Record<string, [args: string[], said: RegExp]> = {
  'an unknown option of create': [['create', '--frob', '--bundle', 'B', 'c1'], /option --frob/],
  'an unknown option behind the id': [['create', '-b', 'B', 'c1', '--frob=1'], /option --frob=1/],
  'an option of three dashes': [['create', '---bundle', 'B', 'c1'], /option ---bundle/],
  'an unknown global option': [['--frob', 'create', '--bundle', 'B', 'c1'], /option --frob/],
  'a global option behind create': [['create', '--root', '/r', '-b', 'B', 'c1'], /option --root/],
  'create without an id': [['create', '--bundle', 'B'], /without the id/],
  'create with a missing value': [['create', 'c1', '--bundle'], /--bundle has no value/],
  'an unknown option of start': [['start', '--frob', 'c1'], /option --frob/],
  run: [['run', '--bundle', 'B', 'c1'], /no `run`/],
  'run with a bundle called create': [['--root', '/r', 'run', '-b', 'create', 'c1'], /no `run`/],
  restore: [['restore', '--bundle', 'B', '--image-path', '/i', 'c1'], /no `restore`/],
};

function describe(bench: Bench, text: string | undefined): void {
  if (text !== undefined) writeFileSync(join(bench.bundle, 'config.json'), text);
}

async function refuses(bench: Bench, args: string[], said: RegExp): Promise<void> {
  await bench.listen(RUN);
  const filled = args.map((arg) => (arg === 'B' ? bench.bundle : arg));
  const logged = ['--log', bench.log, '--log-format', 'json', ...filled];
  const ended = await bench.run('sealift-runc', logged);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, said);
  assert.match((JSON.parse(readFileSync(bench.log, 'utf8')) as { msg: string }).msg, said);
  assert.equal(bench.connections, 0);
  assert.equal(bench.runcArgs(), undefined);
}

async function asks(bench: Bench, text: string): Promise<void> {
  describe(bench, text);
  await bench.listen(RUN);
  const ended = await bench.run('sealift-runc', create(bench));
  assert.equal(ended.status, 0, ended.stderr);
  assert.equal(bench.requests[0]?.['pod'], 'pod-0');
  assert.deepEqual(bench.runcArgs(), create(bench));
  assert.equal(readFileSync(join(bench.bundle, 'config.json'), 'utf8'), text);
}

/** runc's state of a container holds the limits of its configuration too. */
function keepState(bench: Bench, text: string): void {
  mkdirSync(join(bench.root, 'c1'), { recursive: true });
  writeFileSync(join(bench.root, 'c1/state.json'), text);
}

async function startsNothingTwice(bench: Bench): Promise<void> {
  describe(bench, config(rlimit('18446744073709551615')));
  await bench.listen(restoreReply(bench));
  assert.equal((await bench.run('sealift-runc', create(bench))).status, 0);
  keepState(
    bench,
    `{"config":{"rlimits":[{"hard":18446744073709551615}],"labels":["bundle=${bench.bundle}"]}}`,
  );
  const start = ['--root', bench.root, 'start', 'c1'];
  assert.equal((await bench.run('sealift-runc', start, { RUNC_EXIT: '9' })).status, 0);
  writeFileSync(join(bench.bundle, 'sealift-moving'), '');
  const refused = await bench.run('sealift-runc', ['--root', bench.root, 'exec', 'c1', 'true']);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /Moving/);
}

async function refusesAStateItCannotRead(bench: Bench): Promise<void> {
  keepState(bench, '{"config":');
  for (const command of [['start'], ['exec', '--process', '/p']]) {
    const args = ['--root', bench.root, ...command, 'c1'];
    const ended = await bench.run('sealift-runc', args, { RUNC_EXIT: '9' });
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /BadState: .*state\.json cannot be read/);
  }
}

async function forwardsSandboxes(bench: Bench): Promise<void> {
  await bench.listen(RUN);
  for (const annotations of [SANDBOX, CRIO_SANDBOX]) {
    describe(bench, config(rlimit('18446744073709551615'), annotations));
    assert.equal((await bench.run('sealift-runc', create(bench), { RUNC_EXIT: '7' })).status, 7);
  }
  assert.equal(bench.connections, 0);
  assert.deepEqual(bench.runcArgs(), create(bench));
}

export const closedCases: Case[] = [
  ...Object.entries(readable).map(([name, text]): Case => [
    `closed: asks with ${name}`,
    (bench) => asks(bench, text),
  ]),
  ...Object.entries(unreadable).map(([name, text]): Case => [
    `closed: refuses ${name}`,
    (bench) => {
      describe(bench, text);
      return refuses(bench, ['create', '--bundle', 'B', 'c1'], /BadBundle: .*config\.json/);
    },
  ]),
  ...Object.entries(misunderstood).map(([name, [args, said]]): Case => [
    `closed: refuses ${name}`,
    (bench) => {
      describe(bench, config(''));
      return refuses(bench, args, said);
    },
  ]),
  ['closed: a restored container with such a limit is not started twice', startsNothingTwice],
  [
    'closed: refuses to start or join what runc’s state does not describe',
    refusesAStateItCannotRead,
  ],
  ['closed: forwards a sandbox with such a limit', forwardsSandboxes],
];
