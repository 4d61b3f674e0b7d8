// SPDX-License-Identifier: Apache-2.0
// What the shell functions decide, with programs of the engine replaced.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const top = new URL('../../..', import.meta.url).pathname;
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kind-test-'));
  mkdirSync(join(dir, 'run'));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Runs shell lines with the libraries of lab and kind, as kind.sh does. */
function shell(lines: string, env: Record<string, string> = {}) {
  const parts = ['config', 'cache', 'proc', 'net', 'node', 'binaries', 'rootfs'];
  const own = ['config', 'binaries', 'image', 'machine', 'engine', 'cluster', 'vm'];
  const sourced = [
    ...parts.map((part) => `. ${top}/e2e/lab/lib/${part}.sh`),
    ...own.map((part) => `. ${top}/e2e/kind/lib/${part}.sh`),
  ].join('\n');
  const done = spawnSync('bash', ['-c', `set -euo pipefail\n${sourced}\n${lines}`], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', KIND: dir, ...env },
  });
  return { status: done.status, stdout: done.stdout.trim(), stderr: done.stderr };
}

describe('the engine', () => {
  it('is what KIND_ENGINE says, then what kind-up has chosen', () => {
    expect(shell('engine', { KIND_ENGINE: 'docker' }).stdout).toBe('docker');
    writeFileSync(join(dir, 'engine'), 'vm\n');
    expect(shell('engine').stdout).toBe('vm');
    expect(shell('engine', { KIND_ENGINE: 'docker' }).stdout).toBe('docker');
  });

  it('of this machine is refused with what root has to do, where the driver is missing', () => {
    const fakes = 'docker() { :; }; rdma() { echo netns shared; };';
    const said = shell(`${fakes} engine_require`, { KIND_ENGINE: 'docker' });
    expect(said.status).not.toBe(0);
    expect(said.stderr).toContain('rdma system set netns exclusive');
    expect(said.stderr).toContain('To undo it');
    expect(shell('engine_require', { KIND_ENGINE: 'vm' }).status).toBe(0);
  });

  it('runs a line on a node with its quotes as they are', () => {
    const fakes = `node_ssh() { shift; bash -c "$1"; }; engine_node_pid() { echo 1; }
      nsenter() { shift 10; "$@"; }; export -f nsenter;`;
    const line = `echo "a 'b'" $((1 + 1)); cat`;
    const said = shell(
      `${fakes} echo in | engine_exec x ${JSON.stringify(line).replaceAll('$', '\\$')}`,
      {
        KIND_ENGINE: 'vm',
      },
    );
    expect(said.stdout).toBe("a 'b' 2\nin");
  });
});

describe('kind’s configuration', () => {
  it('names the image repository of the own image only', () => {
    const own = shell('cluster_config', { KIND_ENGINE: 'vm' }).stdout;
    expect(own).toContain('imageRepository: sealift.local/kubernetes');
    expect(own).toContain("apiServerAddress: '10.78.0.11'");
    const other = { KIND_ENGINE: 'docker', KIND_IMAGE: 'example.test/node:v1' };
    const published = shell('cluster_config', other).stdout;
    expect(published).not.toContain('imageRepository');
    expect(published).toContain("apiServerAddress: '127.0.0.1'");
  });
});

describe('a cable', () => {
  it('is pulled at the other end of the node’s veth', () => {
    const fakes = `engine_exec() { echo 12; }; engine_run() { "$@"; };
      ip() { if [ "$1" = -o ]; then echo '1: lo: <X>'; echo '12: veth7a@if2: <Y>'; echo '112: no@if2: <Z>'; else echo "ip $*"; fi; }
      export -f ip; sh() { bash "$@"; };`;
    expect(shell(`${fakes} cluster_cable n fabric down`).stdout).toBe('ip link set veth7a down');
    expect(shell(`${fakes} cluster_cable n power down`).stderr).toContain('cluster or fabric');
  });
});

describe('loading an image', () => {
  it('sends no layer that the node has', () => {
    const made = `cd ${dir} && mkdir -p a/blobs/sha256 && echo '{}' >a/oci-layout && head -c 70000 /dev/zero >a/blobs/sha256/big &&
      echo small >a/blobs/sha256/small && tar -C a -cf a.tar oci-layout blobs`;
    const fakes = `engine_exec() { case $2 in find*) echo big ;; *) tar -t >${dir}/sent ;; esac; };`;
    const said = shell(`${made}; ${fakes} cluster_load ${dir}/a.tar one; cat ${dir}/sent`);
    expect(said.stdout.split('\n')).toEqual([
      'oci-layout',
      'blobs/',
      'blobs/sha256/',
      'blobs/sha256/small',
    ]);
  });
});
