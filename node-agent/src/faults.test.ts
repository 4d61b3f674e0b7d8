// SPDX-License-Identifier: Apache-2.0
// docs/faults.md and the code name the same fault points, and files arm the plugin's.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pluginFaults } from './node/runtime/plugin-faults.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The texts of a directory's sources, without tests. */
function sources(directory: string, ending: RegExp): string {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((path) => ending.test(path) && !/\.test\.ts$|(^|\/)(tests|testing|build)\//.test(path))
    .map((path) => read(join(directory, path)))
    .join('\n');
}
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((match) => match[1]);
const sorted = (names: (string | undefined)[]) => [...new Set(names)].sort();

const listed = all(read('docs/faults.md'), /^\| `([a-z]+\.[a-zA-Z_-]+)` \|/gm);

describe('the list of fault points', () => {
  it('has those of operator and agent', () => {
    const text = ['operator/src', 'node-agent/src', 'kube/src']
      .map((directory) => sources(directory, /\.ts$/))
      .join('\n');
    // Some names are arguments of functions that pass the point.
    const named = [
      ...all(text, /withFaults\(\s*'([^']+)'/g),
      ...all(text, /'(operator\.[a-z-]+)'/g),
    ];
    const native = /^(shim|dump|restore|driver)\./;
    expect(sorted(listed.filter((name) => !native.test(name ?? '')))).toEqual(sorted(named));
  });

  it.each([
    ['shim', 'native/shim', /^shim\./],
    ['plugin', 'native/criu-plugin', /^(dump|restore)\./],
  ])('has those of the %s', (_what, directory, own) => {
    const points = all(sources(directory, /\.c$/), /\bfault\("([^"]+)"\)/g);
    const expected = listed
      .filter((name) => own.test(name ?? ''))
      .flatMap((name) => [`${name}.before`, `${name}.after`]);
    expect(sorted(points)).toEqual(sorted(expected));
  });

  it('has those of the driver', () => {
    const points = all(sources('native/rxe/src', /_fault\.c$/), /\] *\t*= "([a-z_]+)"/g);
    const methods = all(sources('native/rxe/src', /\.c$/), /rxe_fault_around\(RXE_FAULT_(\w+)/g);
    const own = listed.filter((name) => name?.startsWith('driver.'));
    expect(sorted(own)).toEqual(sorted(points.map((name) => `driver.${name}`)));
    expect(sorted(methods)).toEqual(sorted(points.map((name) => name?.toUpperCase())));
  });

  it('has each name once', () => {
    expect(listed).toHaveLength(new Set(listed).size);
  });
});

describe('the plugin’s fault points', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sealift-fault-'));
    process.env['SEALIFT_FAULT_DIR'] = directory;
  });
  afterEach(() => {
    delete process.env['SEALIFT_FAULT_DIR'];
    rmSync(directory, { recursive: true, force: true });
  });

  it('are read from the files for the next dump or restore, once', async () => {
    for (const [name, action] of [
      ['plugin.dump.hold.after', 'throw'],
      ['plugin.dump.image.before', ''],
      ['plugin.restore.gate.before', 'crash\n'],
      ['source.dump.before', 'throw'],
    ] as const) {
      writeFileSync(join(directory, name), action);
    }
    expect(await pluginFaults('dump')).toEqual({
      SEALIFT_FAULT: 'dump.hold.after,dump.image.before:kill',
    });
    expect(await pluginFaults('dump')).toEqual({});
    expect(await pluginFaults('restore')).toEqual({ SEALIFT_FAULT: 'restore.gate.before:kill' });
    expect(readdirSync(directory)).toEqual(['source.dump.before']);
  });

  it('are empty where the directory does not exist or is not named', async () => {
    rmSync(directory, { recursive: true });
    expect(await pluginFaults('dump')).toEqual({});
    delete process.env['SEALIFT_FAULT_DIR'];
    expect(await pluginFaults('dump')).toEqual({});
  });
});
