// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeImage } from './image.ts';

let work: string;

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'image-test-'));
});

afterEach(() => {
  rmSync(work, { recursive: true, force: true });
});

function tree(name: string, files: Record<string, string>): string {
  const dir = join(work, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

interface Manifest {
  readonly config: { readonly digest: string; readonly size: number };
  readonly layers: readonly { readonly digest: string; readonly size: number }[];
}

interface Config {
  readonly config: {
    readonly Entrypoint: string[];
    readonly Env: string[];
    readonly WorkingDir?: string;
  };
  readonly rootfs: { readonly diff_ids: string[] };
}

/** Unpacks an archive and checks that every blob is what its name says. */
function open(archive: string): {
  manifest: Manifest;
  config: Config;
  name: string;
  layer: (i: number) => string;
} {
  const dir = mkdtempSync(join(work, 'open-'));
  execFileSync('tar', ['-C', dir, '-xf', archive]);
  const blobs = join(dir, 'blobs/sha256');
  for (const blob of readdirSync(blobs)) expect(sha256(readFileSync(join(blobs, blob)))).toBe(blob);
  const read = (digest: string): string => join(blobs, digest.replace('sha256:', ''));
  const index = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')) as {
    manifests: [{ digest: string; size: number; annotations: Record<string, string> }];
  };
  const manifest = JSON.parse(readFileSync(read(index.manifests[0].digest), 'utf8')) as Manifest;
  const config = JSON.parse(readFileSync(read(manifest.config.digest), 'utf8')) as Config;
  return {
    manifest,
    config,
    name: index.manifests[0].annotations['io.containerd.image.name'] ?? '',
    layer: (i) =>
      execFileSync('tar', ['-tf', read(manifest.layers[i]?.digest ?? '')], { encoding: 'utf8' }),
  };
}

describe('writeImage', () => {
  it('writes layers, lowest first, entrypoint and environment', async () => {
    const out = join(work, 'out.tar');
    await writeImage(out, {
      name: 'sealift.local/x:1',
      layers: [tree('base', { 'usr/lib/base': 'b' }), tree('top', { 'app/main': 'm' })],
      entrypoint: ['/app/main', '--flag'],
      env: ['A=1'],
      workingDir: '/app',
    });
    const { manifest, config, name, layer } = open(out);
    expect(name).toBe('sealift.local/x:1');
    expect(config.config.Entrypoint).toEqual(['/app/main', '--flag']);
    expect(config.config.Env).toContain('A=1');
    expect(config.config.WorkingDir).toBe('/app');
    expect(config.rootfs.diff_ids).toEqual(manifest.layers.map((descriptor) => descriptor.digest));
    expect(layer(0)).toContain('./usr/lib/base');
    expect(layer(1)).toContain('./app/main');
  });

  it('gives the same bytes for the same content, whatever the times', async () => {
    const digests = [];
    for (const [i, order] of [
      ['a', 'b'],
      ['b', 'a'],
    ].entries()) {
      const dir = tree(`tree${String(i)}`, Object.fromEntries(order.map((file) => [file, file])));
      utimesSync(join(dir, 'a'), 1000 + i, 2000 + i);
      const out = join(work, `${String(i)}.tar`);
      await writeImage(out, {
        name: 'sealift.local/x:1',
        layers: [dir],
        entrypoint: ['/a'],
        env: [],
      });
      digests.push(sha256(readFileSync(out)));
    }
    expect(digests[0]).toBe(digests[1]);
  });

  it('gives other bytes for other content', async () => {
    const digests = [];
    for (const text of ['one', 'two']) {
      const out = join(work, `${text}.tar`);
      await writeImage(out, {
        name: 'sealift.local/x:1',
        layers: [tree(text, { a: text })],
        entrypoint: ['/a'],
        env: [],
      });
      digests.push(sha256(readFileSync(out)));
    }
    expect(digests[0]).not.toBe(digests[1]);
  });

  it('leaves nothing behind when a layer is missing', async () => {
    const out = join(work, 'out.tar');
    const spec = {
      name: 'sealift.local/x:1',
      layers: [join(work, 'absent')],
      entrypoint: [],
      env: [],
    };
    await expect(writeImage(out, spec)).rejects.toThrow();
    expect(readdirSync(work)).toEqual([]);
  });
});

describe('command line', () => {
  const run = (...args: string[]): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'image.ts'), ...args], { cwd: work });

  it("keeps an entrypoint's own options apart from its own", () => {
    const base = tree('base', { b: 'b' });
    const top = tree('top', { a: 'a' });
    const done = run(
      '--layer',
      base,
      '--env',
      'X=y',
      'o.tar',
      'sealift.local/x:1',
      top,
      '/a',
      '--env',
      'Z',
    );
    expect(done.status).toBe(0);
    const { config, manifest } = open(join(work, 'o.tar'));
    expect(config.config.Entrypoint).toEqual(['/a', '--env', 'Z']);
    expect(config.config.Env).toContain('X=y');
    expect(manifest.layers).toHaveLength(2);
  });

  it('refuses a name without a tag', () => {
    expect(run('o.tar', 'host:5000/x', tree('top', {}), '/a').status).toBe(2);
  });
});
