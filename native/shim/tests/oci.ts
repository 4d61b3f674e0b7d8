// SPDX-License-Identifier: Apache-2.0
// The OCI wrapper: which calls ask the agent, which go straight to runc, which fail.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until, type Bench, type Case } from './harness.ts';

export const CONTAINER = {
  'io.kubernetes.cri.container-type': 'container',
  'io.kubernetes.cri.sandbox-id': 'sand1',
  'io.kubernetes.cri.sandbox-namespace': 'team',
  'io.kubernetes.cri.sandbox-name': 'pod-0',
  'io.kubernetes.cri.sandbox-uid': 'uid-1',
  'io.kubernetes.cri.container-name': 'main',
};
export const CRIO = {
  'io.kubernetes.cri-o.ContainerType': 'container',
  'io.kubernetes.cri-o.SandboxID': 'sand2',
  'io.kubernetes.cri-o.Labels': JSON.stringify({
    'io.kubernetes.pod.namespace': 'team',
    'io.kubernetes.pod.name': 'pod-1',
    'io.kubernetes.pod.uid': 'uid-2',
    'io.kubernetes.container.name': 'main',
  }),
};
const RUN = { ok: true, action: 'run' };

export const restoreReply = (bench: Bench) => ({
  ok: true,
  action: 'restore',
  imagePath: join(bench.dir, 'images'),
  workPath: join(bench.dir, 'work'),
  options: ['--tcp-established', '--file-locks'],
  env: { SEALIFT_GATE: 'token with space', SEALIFT_QP_STATE: 'keep' },
});
export const create = (bench: Bench, id = 'c1') => [
  ...['--root', bench.root, '--log', bench.log, '--log-format', 'json', '--systemd-cgroup'],
  ...['create', '--bundle', bench.bundle, '--pid-file', `${bench.dir}/pid`, id],
];

/** Command lines that ask the agent; `B` stands for the bundle, `L` for the log file. */
const shouldAsk: Record<string, string[]> = {
  'as containerd does': ['--root', '/r', '--log', 'L', 'create', '--bundle', 'B', 'c1'],
  'with equals signs': ['--root=/r', '--systemd-cgroup=true', 'create', '--bundle=B', 'c1'],
  'with one dash': ['-root', '/r', '-debug', 'create', '-b', 'B', 'c1'],
  'as conmon does': ['--systemd-cgroup', 'create', '--bundle', 'B', '--pid-file', 'p', 'c1'],
  'with the id first': ['create', 'c1', '--bundle', 'B'],
  'with every switch': ['create', '--no-pivot', '--no-new-keyring', '-b', 'B', '--', 'c1'],
  'with a log named start': ['--log', 'start', 'create', '-b', 'B', 'c1'],
};

/** Command lines that go straight to runc though the bundle is a container's. */
const shouldForward: Record<string, string[]> = {
  'state of an id called create': ['--root', 'create', 'state', 'create'],
  'a root called create': ['--root', 'create', 'delete', '--force', 'c1'],
  'kill, delete and the like': ['--root', '/r', 'kill', '--all', 'c1', '9'],
  'exec of a program called create': ['exec', 'c1', 'create', '--bundle', 'B'],
  'help of create': ['create', '--help', '-b', 'B'],
  'help of all': ['--help'],
  version: ['--version'],
  'nothing at all': [],
  'start of an unknown container': ['--root', '/nowhere', 'start', 'c1'],
  'start of an id with slashes': ['start', '../../bundle'],
};

/** Replies to a create that make it fail, with what must be said. */
const shouldFail: Record<string, [reply: object, said: RegExp]> = {
  'a refusal': [
    { ok: false, code: 'ImageAltered', message: 'pages-1.img' },
    /ImageAltered: pages-1/,
  ],
  'a refusal without words': [{ ok: false }, /Refused/],
  'no JSON': [{ raw: 'hello\n' }, /BadReply.*hello/],
  'an array': [{ raw: '[1]\n' }, /BadReply/],
  'no ok': [{ raw: '{"action":"run"}\n' }, /BadReply/],
  'ok that is no boolean': [{ raw: '{"ok":"yes","action":"run"}\n' }, /BadReply/],
  'no action': [{ ok: true }, /BadReply.*action/],
  'another action': [{ ok: true, action: 'dance' }, /BadReply.*dance/],
  'restore without images': [{ ok: true, action: 'restore' }, /BadReply.*images/],
  'options that are numbers': [
    { ok: true, action: 'restore', imagePath: '/i', workPath: '/w', options: [1] },
    /BadReply.*option/,
  ],
  'too many options': [
    { ok: true, action: 'restore', imagePath: '/i', workPath: '/w', options: Array(65).fill('-x') },
    /BadReply.*too many/,
  ],
  'env that is no text': [
    { ok: true, action: 'restore', imagePath: '/i', workPath: '/w', env: { A: 1 } },
    /BadReply.*env A/,
  ],
  'a reply without end': [{ raw: 'x'.repeat(3_000_000) }, /BadReply.*no end/],
  'nested without end': [{ raw: `${'['.repeat(500_000)}\n` }, /BadReply/],
};

function fill(bench: Bench, args: string[]): string[] {
  return args.map((arg) =>
    arg.replace(/^B$/, bench.bundle).replace(/=B$/, `=${bench.bundle}`).replace(/^L$/, bench.log),
  );
}

async function asks(bench: Bench, args: string[]): Promise<void> {
  bench.annotate(CONTAINER);
  await bench.listen(RUN);
  const filled = fill(bench, args);
  const ended = await bench.run('sealift-runc', filled, { RUNC_EXIT: '42' });
  assert.equal(ended.status, 42, ended.stderr);
  assert.deepEqual(bench.requests, [
    {
      op: 'create',
      id: 'c1',
      bundle: bench.bundle,
      namespace: 'team',
      pod: 'pod-0',
      podUid: 'uid-1',
      container: 'main',
      sandboxId: 'sand1',
    },
  ]);
  assert.deepEqual(bench.runcArgs(), filled);
}

async function forwards(bench: Bench, args: string[]): Promise<void> {
  bench.annotate(CONTAINER);
  await bench.listen({ ok: false, code: 'Asked', message: 'must not be asked' });
  const filled = fill(bench, args);
  const ended = await bench.run('sealift-runc', filled, { RUNC_EXIT: '7' });
  assert.equal(ended.status, 7, ended.stderr);
  assert.equal(bench.connections, 0);
  assert.deepEqual(bench.runcArgs(), filled.length ? filled : ['']);
}

async function fails(bench: Bench, reply: object, said: RegExp): Promise<void> {
  bench.annotate(CONTAINER);
  await bench.listen(reply);
  const ended = await bench.run('sealift-runc', create(bench));
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, said);
  assert.equal(bench.runcArgs(), undefined);
  assert.ok(!existsSync(join(bench.bundle, 'sealift-restored')));
  const entry = JSON.parse(readFileSync(bench.log, 'utf8')) as Record<string, string>;
  assert.equal(entry['level'], 'error');
  assert.match(entry['msg'] ?? '', said);
  assert.ok(!Number.isNaN(Date.parse(entry['time'] ?? '')));
}

const tables: Case[] = [
  ...Object.entries(shouldAsk).map(([name, args]): Case => [
    `asks: ${name}`,
    (bench) => asks(bench, args),
  ]),
  ...Object.entries(shouldForward).map(([name, args]): Case => [
    `forwards: ${name}`,
    (bench) => forwards(bench, args),
  ]),
  ...Object.entries(shouldFail).map(([name, [reply, said]]): Case => [
    `fails: ${name}`,
    (bench) => fails(bench, reply, said),
  ]),
];

export const ociCases: Case[] = [
  ...tables,
  [
    'asks: a container of CRI-O',
    async (bench) => {
      bench.annotate(CRIO);
      await bench.listen(RUN);
      await bench.run('sealift-runc', create(bench));
      const { pod, podUid, sandboxId } = bench.requests[0] ?? {};
      assert.deepEqual([pod, podUid, sandboxId], ['pod-1', 'uid-2', 'sand2']);
    },
  ],
  [
    'asks: a relative bundle becomes an absolute path',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen(RUN);
      await bench.run('sealift-runc', ['create', '--bundle', 'bundle', 'c1']);
      assert.equal(bench.requests[0]?.['bundle'], bench.bundle);
    },
  ],
  [
    'restores: create becomes restore, start does nothing, a later run unmarks',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen(restoreReply(bench), RUN);
      const args = create(bench);
      args.splice(args.indexOf('--pid-file'), 0, '--console-socket', '/c', '--no-pivot');
      args.splice(args.indexOf('--pid-file'), 0, '--no-new-keyring', '--preserve-fds', '0');
      const ended = await bench.run('sealift-runc', args);
      assert.equal(ended.status, 0, ended.stderr);
      assert.deepEqual(bench.runcArgs(), [
        ...create(bench).slice(0, 7),
        ...['restore', '--detach', '--manage-cgroups-mode', 'ignore'],
        ...['--image-path', `${bench.dir}/images`, '--work-path', `${bench.dir}/work`],
        ...['--tcp-established', '--file-locks', '--bundle', bench.bundle],
        ...['--pid-file', `${bench.dir}/pid`, '--console-socket', '/c', '--no-pivot', 'c1'],
      ]);
      assert.equal(bench.runcEnv('SEALIFT_GATE'), 'token with space');
      assert.equal(bench.runcEnv('SEALIFT_QP_STATE'), 'keep');
      assert.ok(bench.runcEnv('PATH')?.startsWith(`${bench.dir}/bin:`));
      const [, blocked, ignored] =
        /SigBlk:\s(\w+)\nSigIgn:\s(\w+)\n/.exec(bench.read('runc.signals') ?? '') ?? [];
      assert.equal(BigInt(`0x${blocked}`), 0n);
      const sigpipe = 1n << 12n;
      assert.equal(BigInt(`0x${ignored}`) & sigpipe, 0n);

      mkdirSync(join(bench.root, 'c1'));
      writeFileSync(
        join(bench.root, 'c1/state.json'),
        JSON.stringify({ id: 'c1', config: { labels: ['x', `bundle=${bench.bundle}`] } }),
      );
      const start = ['--root', bench.root, 'start', 'c1'];
      assert.equal(bench.has('bundle/sealift-started'), false);
      assert.equal((await bench.run('sealift-runc', start, { RUNC_EXIT: '9' })).status, 0);
      // The agent learns from it that the create has returned.
      assert.equal(bench.has('bundle/sealift-started'), true);
      const kill = ['--root', bench.root, 'kill', 'c1'];
      assert.equal((await bench.run('sealift-runc', kill, { RUNC_EXIT: '9' })).status, 9);

      assert.equal((await bench.run('sealift-runc', create(bench))).status, 0);
      assert.equal((await bench.run('sealift-runc', start, { RUNC_EXIT: '9' })).status, 9);
      assert.equal(bench.connections, 2);
    },
  ],
  [
    'fails: options of create that restore lacks',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen(restoreReply(bench));
      for (const option of [['--preserve-fds', '2'], ['--pidfd-socket=/p']]) {
        const ended = await bench.run('sealift-runc', [
          ...['create', '--bundle', bench.bundle],
          ...option,
          'c1',
        ]);
        assert.equal(ended.status, 1);
        assert.match(ended.stderr, /UnsupportedObject/);
      }
      assert.equal(bench.runcArgs(), undefined);
    },
  ],
  [
    'fails: no agent, within the limit',
    async (bench) => {
      bench.annotate(CONTAINER);
      const ended = await bench.run('sealift-runc', create(bench));
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, /AgentUnreachable: no agent at/);
      assert.ok(ended.ms > 1900 && ended.ms < 8000, `${ended.ms} ms`);
    },
  ],
  [
    'fails: an agent that always closes does not keep it for ever',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen('close');
      const ended = await bench.run('sealift-runc', create(bench));
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, /AgentUnreachable: the agent closed/);
      assert.equal(bench.connections, 5);
    },
  ],
  [
    'fails: text log, and a log that cannot be written',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen({ ok: false, code: 'No', message: 'reason' });
      const args = ['--log', bench.log, 'create', '-b', bench.bundle, 'c1'];
      assert.equal((await bench.run('sealift-runc', args)).status, 1);
      assert.match(
        readFileSync(bench.log, 'utf8'),
        /^time=".*" level=error msg="sealift: No: reason"\n$/,
      );
      args[1] = '/nowhere/log';
      assert.match((await bench.run('sealift-runc', args)).stderr, /No: reason/);
    },
  ],
  [
    'fails: a message that is cut inside a character',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen({ ok: false, code: 'No', message: `${'a'.repeat(1022)}é` });
      assert.equal((await bench.run('sealift-runc', create(bench))).status, 1);
      JSON.parse(readFileSync(bench.log, 'utf8'));
    },
  ],
  [
    'waits: the agent restarts in the middle of a gate',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen('silence');
      const { ended } = bench.start('sealift-runc', create(bench));
      await until(() => bench.requests.length === 1);
      await bench.crash();
      await new Promise((resolve) => setTimeout(resolve, 700));
      await bench.listen(RUN);
      assert.equal((await ended).status, 0);
      assert.equal(bench.requests.length, 2);
      assert.deepEqual(bench.requests[0], bench.requests[1]);
    },
  ],
  [
    'waits: a long gate is not cut by the limit, and costs no CPU',
    async (bench) => {
      bench.annotate(CONTAINER);
      await bench.listen('silence');
      const { child, ended } = bench.start('sealift-runc', create(bench), {
        SEALIFT_LIMIT_MS: '500',
      });
      await until(() => bench.requests.length === 1);
      const ticks = () => {
        const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ');
        return Number(fields[13]) + Number(fields[14]);
      };
      const before = ticks();
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal(child.exitCode, null);
      assert.ok(ticks() - before <= 2, `${ticks() - before} ticks`);
      child.kill('SIGTERM');
      await ended;
    },
  ],
  [
    'waits: SIGTERM ends it, at the gate and between connections',
    async (bench) => {
      bench.annotate(CONTAINER);
      for (const listening of [true, false]) {
        if (listening) await bench.listen('silence');
        const { child, ended } = bench.start('sealift-runc', create(bench), {
          SEALIFT_LIMIT_MS: '60000',
        });
        if (listening) await until(() => bench.requests.length === 1);
        else await new Promise((resolve) => setTimeout(resolve, 300));
        child.kill('SIGTERM');
        const end = await ended;
        assert.equal(end.status, 1);
        assert.match(end.stderr, /Cancelled/);
        await bench.crash();
      }
      assert.equal(bench.runcArgs(), undefined);
    },
  ],
];
