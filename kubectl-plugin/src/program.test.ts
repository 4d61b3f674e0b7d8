// SPDX-License-Identifier: Apache-2.0
// The program as it is installed: the bundle, and the executable with Node.js in it. Each runs where there is nothing else.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call } from '../testing/terminal.ts';

const top = join(import.meta.dirname, '..', '..');
const node = (...args: string[]): string =>
  execFileSync(process.execPath, args, { cwd: top, encoding: 'utf8' });

describe('the program', { timeout: 120_000 }, () => {
  let dir: string;
  let bundle: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-program-'));
    node('images/bundle.ts', 'kubectl-plugin');
    bundle = join(dir, 'kubectl-sealift');
    copyFileSync(join(top, 'build/kubectl-plugin/kubectl-sealift'), bundle);
  }, 120_000);
  afterAll(() => rmSync(dir, { recursive: true }));

  it('is one file that Node.js runs', async () => {
    const { out } = await call(['migrate', '--help']);
    const args = [bundle, 'migrate', '--help'];
    expect(execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8' })).toBe(out);
  });

  it('ends quietly when nobody reads what it prints', () => {
    const script = `set -o pipefail; (sleep 0.5; exec "$0" "$1" help) | true; echo "\${PIPESTATUS[0]}"`;
    const options = { cwd: dir, encoding: 'utf8' } as const;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, bundle], options);
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });

  it('is an executable that needs no Node.js', async () => {
    const executable = join(dir, 'single');
    node('images/single-executable.ts', bundle, executable);
    const options = { cwd: dir, encoding: 'utf8', env: { PATH: '/nowhere' } } as const;
    const { out } = await call(['help']);
    expect(execFileSync(executable, ['help'], options)).toBe(out);
    writeFileSync(bundle, 'garbage(');
    expect(execFileSync(executable, ['help'], options), 'nothing of the bundle is left').toBe(out);
  });
});
