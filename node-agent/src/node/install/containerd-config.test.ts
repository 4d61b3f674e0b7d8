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

const plan = (main: string | undefined, major: number, imported: string[] = []) =>
  planHandler({ major, mainFile: MAIN, main, imported }, options);

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
    if (made.kind !== 'write') return;
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
    expect(plan(lab, 1)).toEqual({ kind: 'present' });
    expect(plan(kind, 2, [lab])).toEqual({ kind: 'present' });
  });

  it('is refused for a file of version 1, which has no such sections', () => {
    expect(() => plan('root = "/x"\n', 1)).toThrow('version 1');
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
});
