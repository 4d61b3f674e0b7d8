// SPDX-License-Identifier: Apache-2.0
// The files are containerd's own: its defaults, kind's, Debian's and the lab's.
import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import {
  dropInOf,
  hasHandler,
  isImported,
  isOwn,
  planHandler,
  readConfigFile,
  withoutHandler,
  type NodeConfig,
} from './containerd-config.ts';

const options = { handler: 'sealift', binary: '/opt/sealift/bin/sealift-runc' };
const MAIN = '/etc/containerd/config.toml';

/** As kind writes it, for containerd 2.x: version 2, and no import. */
const kind = `# explicitly use v2 config format
version = 2

[proxy_plugins]
[proxy_plugins."fuse-overlayfs"]
  type = "snapshot"

[plugins."io.containerd.grpc.v1.cri".containerd]
  discard_unpacked_layers = true
  default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    # use systemd cgroup by default
    SystemdCgroup = true
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:3.10" # not a comment: "#"
`;

/** The beginning of \`containerd config default\` of 2.2. */
const two = `version = 3
root = '/var/lib/containerd'
imports = ['/etc/containerd/conf.d/*.toml']

[plugins]
  [plugins.'io.containerd.cri.v1.runtime']
    enable_selinux = false
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
`;

/** @param more what differs from a node without a drop-in, whose containerd sees what the files say */
const plan = (
  main: string | undefined,
  major: number,
  imported: string[] = [],
  more: Partial<NodeConfig> = {},
) =>
  planHandler(
    {
      ...{ major, mainFile: MAIN, main, imported, dropIn: undefined, hasDropInDirectory: true },
      ...{ effective: [main, ...imported].join('\n'), ...more },
    },
    options,
  );
const written = (...of: Parameters<typeof plan>) => {
  const made = plan(...of);
  if (made.kind !== 'write') throw new Error('nothing to write');
  return made;
};

describe('reading', () => {
  it('finds version, imports, tables and values, whatever the quotes', () => {
    const file = readConfigFile(two);
    expect([file.version, file.imports]).toEqual([3, ['/etc/containerd/conf.d/*.toml']]);
    expect(file.tables.at(-1)).toEqual([
      ...['plugins', 'io.containerd.cri.v1.runtime', 'containerd', 'runtimes', 'runc', 'options'],
    ]);
    expect(readConfigFile(kind).tables).toContainEqual([
      ...['plugins', 'io.containerd.grpc.v1.cri', 'containerd', 'runtimes', 'runc'],
    ]);
  });

  it('finds imports over several lines, and none in a table or a comment', () => {
    expect(readConfigFile('imports = [\n  "a.toml",\n  "b/*.toml",\n]\n[x]\n').imports).toEqual([
      'a.toml',
      'b/*.toml',
    ]);
    expect(readConfigFile('# imports = ["a"]\n[x]\nimports = ["b"]\n').imports).toEqual([]);
  });

  it('finds imports that have brackets, and none behind a table', () => {
    expect(readConfigFile(`imports = ["/etc/containerd/[a-z]*/*.toml"]`).imports).toEqual([
      '/etc/containerd/[a-z]*/*.toml',
    ]);
    expect(isImported(['/etc/containerd/[a-d]onf.?/[0-9]*.toml'], MAIN, dropInOf(MAIN))).toBe(true);
    expect(isImported(['/etc/containerd/conf.d/[^0-9]*.toml'], MAIN, dropInOf(MAIN))).toBe(false);
  });

  it('takes a star within one path element only', () => {
    const imports = ['conf.d/*.toml'];
    expect(isImported(imports, MAIN, dropInOf(MAIN))).toBe(true);
    expect(isImported(['/etc/*'], MAIN, dropInOf(MAIN))).toBe(false);
    expect(isImported(['/etc/containerd/conf.d/a.toml'], MAIN, dropInOf(MAIN))).toBe(false);
  });
});

describe('the handler', () => {
  it('is a drop-in for 2.x where the main file imports the directory', () => {
    const made = plan(two, 2);
    expect(made).toMatchObject({ kind: 'write', path: '/etc/containerd/conf.d/50-sealift.toml' });
    if (made.kind !== 'write') throw new Error('nothing to write');
    expect(isOwn(made.content)).toBe(true);
    const file = readConfigFile(made.content);
    expect([file.version, hasHandler(file, 'sealift')]).toEqual([3, true]);
    expect(made.content).toContain('SystemdCgroup = false');
  });

  it('has the version of the main file, so that containerd migrates neither', () => {
    const made = plan(two.replace('version = 3', 'version = 4'), 2);
    expect(made.kind === 'write' && readConfigFile(made.content).version).toBe(4);
  });

  it('is a block in the main file where nothing is imported, and keeps every line of it', () => {
    const made = plan(kind, 2);
    if (made.kind !== 'write') throw new Error('nothing to write');
    expect(made.path).toBe(MAIN);
    expect(made.content.startsWith(kind)).toBe(true);
    expect(made.content).toContain(
      "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.sealift.options]",
    );
    expect(made.content).toContain('SystemdCgroup = true');
    expect(withoutHandler(made.content)).toBe(kind);
  });

  it('is a block with 1.7 even where the directory is imported: a drop-in would replace all of CRI', () => {
    const main = `version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n${kind.split('version = 2')[1]}`;
    expect(plan(main, 1)).toMatchObject({ kind: 'write', path: MAIN });
  });

  it('is the same the second time', () => {
    for (const [main, major] of [
      [kind, 1],
      [kind, 2],
      [undefined, 1],
      [undefined, 2],
    ] as const) {
      const first = plan(main, major);
      if (first.kind !== 'write') throw new Error('nothing to write');
      expect(plan(first.content, major)).toEqual(first);
    }
  });

  it('makes a file of its own where there is none', () => {
    const made = plan(undefined, 1);
    if (made.kind !== 'write') throw new Error('nothing to write');
    expect(readConfigFile(made.content).version).toBe(2);
    expect(withoutHandler(made.content)).toBe('');
  });

  it('stays as somebody else has written it: the lab’s nodes', () => {
    const lab = readFileSync(
      new URL('../../../../e2e/lab/node/etc/containerd/config.toml', import.meta.url),
      'utf8',
    );
    const present = { kind: 'present', binary: options.binary };
    expect(plan(lab, 1)).toEqual(present);
    expect(plan(kind, 2, [lab])).toEqual(present);
  });

  it('is a block in version 1, too, whose section has another name', () => {
    expect(written('root = "/x"\n', 1).content).toContain(
      "[plugins.'cri'.containerd.runtimes.sealift]",
    );
  });

  it('is refused for a version that nobody knows yet', () => {
    expect(() => plan('version = 9\n', 2)).toThrow('version 9');
  });

  it('is a block in a file of version 2 that imports: containerd 1.7 would not start with a newer drop-in', () => {
    const main = `version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n`;
    expect(written(main, 2).path).toBe(MAIN);
  });

  it.each([
    [
      'a dotted key',
      `plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift.runtime_type = "x"`,
    ],
    [
      'a dotted key in a table',
      `[plugins]\n"io.containerd.grpc.v1.cri".containerd.runtimes.sealift.runtime_type = "x"`,
    ],
    [
      'quotes and blanks',
      `[ plugins . 'io.containerd.grpc.v1.cri' . containerd . "runtimes" . "sealift" ]`,
    ],
    ['line ends of Windows', `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift]\r`],
  ])('stays as somebody else has written it, by %s', (_, text) => {
    expect(plan(`version = 2\n${text}\n`, 1).kind).toBe('present');
  });

  it('stays as somebody else has written it in a form that only containerd reads', () => {
    const inline = `version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\nruntimes = { sealift = { } }\n`;
    const effective = `version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift.options]\nBinaryName = "/usr/bin/other"\n`;
    expect(plan(inline, 1, [], { effective })).toEqual({
      ...{ kind: 'present', binary: '/usr/bin/other' },
    });
    // The installer's own is not somebody else's.
    const own = written(kind, 1).content;
    expect(plan(own, 1, [], { effective }).kind).toBe('write');
  });

  it('takes no text of several lines for a table', () => {
    const text = `version = 2\nnote = """\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sealift]\nversion = 9\n"""\n`;
    expect(readConfigFile(text).version).toBe(2);
    expect(plan(text, 1).kind).toBe('write');
  });
});

describe('what pods have in common under either runtime', () => {
  const runtime = (name: string, more: string, opts: string): string =>
    `[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.${name}]\n  runtime_type = 'io.containerd.runc.v2'\n${more}` +
    `  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.${name}.options]\n${opts}`;
  const dump = (usual: string, ...runtimes: string[]): string =>
    `version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n  default_runtime_name = '${usual}'\n${runtimes.join('')}`;

  it('is what the default runtime has, also if that is not runc', () => {
    const effective = dump(
      'nvidia',
      runtime(
        'nvidia',
        "  base_runtime_spec = '/etc/containerd/base.json'\n  privileged_without_host_devices = true\n  snapshotter = 'x'\n",
        "    BinaryName = '/usr/bin/nvidia-container-runtime'\n    SystemdCgroup = true\n    NoNewKeyring = true\n    ShimCgroup = ''\n    Root = '/elsewhere'\n",
      ),
      runtime('runc', '', '    SystemdCgroup = false\n'),
    );
    const { content } = written(two, 2, [], { effective });
    expect(content.split('\n').slice(3, -2)).toEqual([
      "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sealift]",
      "  runtime_type = 'io.containerd.runc.v2'",
      "  pod_annotations = ['sealift.dev/*']",
      "  container_annotations = ['sealift.dev/*']",
      "  base_runtime_spec = '/etc/containerd/base.json'",
      '  privileged_without_host_devices = true',
      "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.sealift.options]",
      "  BinaryName = '/opt/sealift/bin/sealift-runc'",
      '  SystemdCgroup = true',
      '  NoNewKeyring = true',
    ]);
  });

  it('is runc’s where the default is of another kind, or is the handler itself', () => {
    const kata = `[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\n  runtime_type = 'io.containerd.kata.v2'\n`;
    const runc = runtime('runc', '', '    SystemdCgroup = true\n');
    for (const usual of ['kata', 'sealift', 'gone']) {
      const effective = dump(usual, kata, runc);
      expect(written(two, 2, [], { effective }).content).toContain('SystemdCgroup = true');
    }
  });
});

describe('taking it out', () => {
  it('leaves what others have added behind it', () => {
    const made = plan(kind, 1);
    if (made.kind !== 'write') throw new Error('nothing to write');
    expect(withoutHandler(`${made.content}[debug]\n`)).toBe(`${kind}[debug]\n`);
  });

  it('leaves a file alone that has no block, or half of one', () => {
    expect(withoutHandler(kind)).toBe(kind);
    const made = plan(kind, 1);
    if (made.kind !== 'write') throw new Error('nothing to write');
    const half = made.content.slice(0, -10);
    expect(withoutHandler(half)).toBe(half);
  });

  it.each([
    ['without an end of its last line', 'version = 2\n[debug]\n  level = "info"'],
    ['with line ends of Windows', 'version = 2\r\n[debug]\r\n  level = "info"\r\n'],
    ['that is empty', ''],
    ['that has blanks only', ' \n\n '],
  ])('leaves each byte of a file %s', (_, main) => {
    expect(withoutHandler(written(main, 1).content)).toBe(main);
    const windows = written(main, 1).content.replaceAll(/\r?\n/g, '\r\n');
    expect(withoutHandler(windows).replaceAll('\r', '')).toBe(main.replaceAll('\r', ''));
  });
});
