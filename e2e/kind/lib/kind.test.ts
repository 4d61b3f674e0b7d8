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
  const own = [
    'config',
    'binaries',
    'image',
    'machine',
    'engine',
    'cluster',
    'published',
    'vm',
    'lane',
  ];
  const sourced = [
    ...parts.map((part) => `. ${top}/e2e/lab/lib/${part}.sh`),
    ...own.map((part) => `. ${top}/e2e/kind/lib/${part}.sh`),
  ].join('\n');
  const done = spawnSync('bash', ['-c', `set -euo pipefail\n${sourced}\n${lines}`], {
    encoding: 'utf8',
    // From a socket bash would take itself for started by rshd, and read .bashrc.
    stdio: ['ignore', 'pipe', 'pipe'],
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
    const fakes = 'docker() { :; }; rdma() { echo netns shared; }; id() { echo 0; };';
    const said = shell(`${fakes} engine_require`, { KIND_ENGINE: 'docker' });
    expect(said.status).not.toBe(0);
    expect(said.stderr).toContain('modprobe ib_core netns_mode=0');
    expect(said.stderr).toContain('To undo it');
    // The kernel refuses it while there is any other network namespace, as of a container.
    expect(said.stderr).not.toContain('rdma system set');
    expect(shell('engine_require', { KIND_ENGINE: 'vm' }).status).toBe(0);
  });

  it('may be Podman, which then has each command of Docker’s, and kind is told', () => {
    const fakes = 'podman() { echo "podman $*: $KIND_EXPERIMENTAL_PROVIDER"; };';
    const said = (lines: string): string =>
      shell(`${fakes} ${lines}`, { KIND_ENGINE: 'podman' }).stdout;
    expect(said('engine_run docker network rm x')).toBe('podman network rm x: podman');
    expect(said('engine_run sh -c \'echo "$KIND_EXPERIMENTAL_PROVIDER"\'')).toBe('podman');
    expect(said('cluster_config')).toContain("apiServerAddress: '127.0.0.1'");
    expect(shell('engine', { KIND_ENGINE: 'crio' }).stderr).toContain('not crio');
  });

  it('is this machine’s where it answers and the kernel can take the driver', () => {
    const chosen = (kernel: string, docker: string, podman: string): string =>
      shell(
        `engine_kernel() { ${kernel}; }; docker() { ${docker}; }; podman() { ${podman}; }; engine`,
      ).stdout;
    expect(chosen('true', 'true', 'true')).toBe('docker');
    expect(chosen('true', 'false', 'true')).toBe('podman');
    expect(chosen('true', 'false', 'false')).toBe('vm');
    expect(chosen('false', 'true', 'true')).toBe('vm');
  });

  it('is this machine’s only with a kernel that the driver is for, or with the driver loaded', () => {
    const taken = (release: string): boolean =>
      shell(
        `uname() { echo ${release}; }; modinfo() { :; }; ENGINE_DRIVER=${dir}/rdma_rxe; [() { case "$*" in '-d '*) ;; *) builtin [ "$@" ;; esac; }; engine_kernel`,
      ).status === 0;
    expect([taken('6.12.117+deb13-amd64'), taken('6.1.0-40-amd64')]).toEqual([true, false]);
    expect([taken('6.16.3-bpo13'), taken('6.120.1')]).toEqual([false, false]);
    mkdirSync(join(dir, 'rdma_rxe/parameters'), { recursive: true });
    writeFileSync(join(dir, 'rdma_rxe/parameters/fault'), '');
    expect(taken('6.16.3-bpo13')).toBe(true);
  });

  it('is the VM by itself with what this machine lacks, and by request without a word', () => {
    const said = (release: string, modinfo: string, env: Record<string, string> = {}): string => {
      const fakes = `uname() { echo ${release}; }; modinfo() { ${modinfo}; }; ENGINE_DRIVER=${dir}/none;
        docker() { return 1; }; podman() { return 1; };`;
      const done = shell(`${fakes} engine_say_vm`, env);
      expect(done.status).toBe(0);
      return done.stderr;
    };
    expect(said('6.1.0-40-amd64', 'true')).toContain('kernel is 6.1.0-40-amd64');
    expect(said('6.12.0-none', 'false')).toContain('no InfiniBand');
    expect(said('6.12.0-none', 'true')).toContain('no headers');
    expect(said('6.1.0-40-amd64', 'true', { KIND_ENGINE: 'vm' })).toBe('');
    mkdirSync(join(dir, 'none/parameters'), { recursive: true });
    writeFileSync(join(dir, 'none/parameters/fault'), '');
    expect(said('6.1.0-40-amd64', 'true')).toContain('neither Docker nor Podman');
  });

  it('of this machine is refused with another driver, and taken with Sealift’s in exclusive mode', () => {
    const fakes = `docker() { :; }; rdma() { echo netns exclusive; }; id() { echo 0; }; ENGINE_DRIVER=${dir}/rdma_rxe;`;
    mkdirSync(join(dir, 'rdma_rxe'));
    const required = () => shell(`${fakes} engine_require`, { KIND_ENGINE: 'docker' });
    expect(required().status).not.toBe(0);
    expect(required().stderr).toContain('is not Sealift');
    mkdirSync(join(dir, 'rdma_rxe/parameters'));
    writeFileSync(join(dir, 'rdma_rxe/parameters/fault'), '');
    expect(required().status).toBe(0);
    const other = shell(`${fakes} id() { echo 1000; }; engine_require`, { KIND_ENGINE: 'docker' });
    expect(other.stderr).toContain('needs root');
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

describe('a cluster that is not whole', () => {
  /** What kind_up does, with everything that takes long replaced. */
  const up = (lines: string): string[] => {
    const script = shell(
      `sed -n '/^kind_up() {/,/^}/p; /^cluster_runs() {/,/^}/p; /^kind_end() {/,/^}/p' ${top}/e2e/kind/kind.sh`,
    ).stdout;
    const fakes = `for f in lock image_up machine_up net_up accel_name; do eval "$f() { :; }"; done
      log() { echo "$*"; }; vm_up() { echo up; }; vm_down() { echo down; }; cluster_kubectl() { :; };`;
    const said = shell(`${script}\n${fakes} ${lines} kind_up`, { KIND_ENGINE: 'vm' });
    expect([said.status, said.stderr]).toEqual([0, '']);
    return said.stdout.split('\n').slice(0, 2);
  };

  it('is ended before a new one comes up', () => {
    expect(up('proc_alive() { :; };')).toEqual(['down', 'up']);
    expect(up('touch "$READY"; proc_alive() { return 1; };')).toEqual(['down', 'up']);
  });

  it('is another than one that is', () => {
    expect(up('touch "$READY"; proc_alive() { :; };')).toEqual(['already up']);
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

describe('an image that kind.sh has not made', () => {
  const published = { KIND_ENGINE: 'docker', KIND_IMAGE: 'example.test/node:v1' };

  it('keeps its network, and has no own repository', () => {
    const made = `cluster_create() { cluster_config; }; published_create`;
    expect(shell(made, published).stdout).toContain('disableDefaultCNI: false');
    expect(shell('cluster_config', published).stdout).toContain('disableDefaultCNI: true');
  });

  it('has Multus in front of the configuration of its own', () => {
    const own = JSON.stringify({
      cniVersion: '0.3.1',
      name: 'kindnet',
      plugins: [{ type: 'ptp' }],
    });
    writeFileSync(join(dir, 'own'), own);
    const made = shell(`sh -c "$(declare -f published_multus); published_multus ${dir}/own"`);
    expect(JSON.parse(made.stdout)).toMatchObject({
      ...{ cniVersion: '0.3.1', type: 'multus' },
      delegates: [JSON.parse(own) as object],
    });
  });

  it('is refused for the VM', () => {
    const inVm = shell('published_require', { ...published, KIND_ENGINE: 'vm' });
    expect([inVm.status === 0, inVm.stderr]).toEqual([
      false,
      expect.stringContaining('reaches no registry'),
    ]);
    expect(shell('published_require', published).status).toBe(0);
    expect(shell('published_require', { KIND_ENGINE: 'vm' }).status).toBe(0);
  });
});

describe('a cluster of the same name that somebody else has made', () => {
  const fakes = `docker() { case $1 in ps) echo 4f2a ;; *) echo "docker $*" ;; esac; }; env() { echo "env $*"; };`;
  const docker = { KIND_ENGINE: 'docker' };

  it('is not removed, and no other one is made beside it', () => {
    expect(shell(`${fakes} cluster_down`, docker)).toMatchObject({ status: 0, stdout: '' });
    const refused = shell(`${fakes} cluster_refuse_other`, docker);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr).toContain('kind delete cluster --name sealift');
    expect(shell(`${fakes} cluster_refuse_other`, { KIND_ENGINE: 'vm' }).status).toBe(0);
    expect(shell(`docker() { :; }; cluster_refuse_other`, docker).status).toBe(0);
  });

  it('is told from the one of kind-up, which is removed on the engine that it was made on', () => {
    writeFileSync(join(dir, 'engine'), 'docker\n');
    const end = shell(`sed -n '/^kind_end() {/,/^}/p' ${top}/e2e/kind/kind.sh`).stdout;
    const ended = shell(`${fakes} vm_down() { :; }; ${end}\nkind_end`, { KIND_ENGINE: 'vm' });
    expect(ended.stdout).toContain('delete cluster --name sealift');
    expect(shell(`${fakes} cluster_refuse_other`).status).toBe(0);
  });

  it('is of the image that it was made of, until it is removed', () => {
    writeFileSync(join(dir, 'image'), 'example.org/node:v1\n');
    expect(shell('echo $KIND_IMAGE').stdout).toBe('example.org/node:v1');
    expect(shell('echo $KIND_IMAGE', { KIND_IMAGE: 'other' }).stdout).toBe('other');
  });
});

describe('the lane of make test', () => {
  /** What lane_obstacle says where all is well but for what `lines` changes. */
  const obstacle = (lines: string, env: Record<string, string> = {}): string => {
    const well = 'cache_missing() { :; }; ip() { :; }; awk() { echo 20000; };';
    const said = shell(`${well} ${lines} lane_obstacle`, { KIND_ENGINE: 'vm', ...env });
    expect([said.status, said.stderr]).toEqual([0, '']);
    return said.stdout;
  };

  it('runs from a snapshot, with memory and time', () => {
    expect(obstacle('')).toBe('');
    expect(obstacle('', { LANES_STARTED: String(Math.floor(Date.now() / 1000) - 60) })).toBe('');
  });

  it.each([
    ['without a snapshot', 'cache_missing() { echo $1; };', 'no snapshot'],
    ['beside the lab', 'ip() { echo 1234; };', 'make lab-down'],
    ['with too little memory', 'awk() { echo 3000; };', '3000 MiB are free'],
    ['beside a kind cluster', 'touch "$READY";', 'make kind-down'],
    ['beside another command', 'exec 9>"$KIND/lock"; flock 9;', 'another command'],
    ['too late', 'LANES_STARTED=$(($(date +%s) - 1800));', 'have taken 30 minutes'],
  ])('is skipped %s, and says so', (_, lines, why) => {
    expect(obstacle(lines)).toContain(why);
  });

  it('says in a line that e2e/lanes.ts counts why it is skipped', () => {
    const said = shell('cache_missing() { echo $1; }; lane', { KIND_ENGINE: 'vm' });
    expect([said.status, said.stdout]).toEqual([0, expect.stringMatching(/^skipped: .*snapshot/)]);
  });
});

describe('a run of the lane', () => {
  const report = (status: string): string =>
    JSON.stringify({ cases: [{ name: 'ledger-there-and-back', status, reason: '' }] });

  /** The lane with a suite that ends with `status` and leaves a report; an older run has left one that has passed. */
  const run = (text: string | undefined, status = 0) => {
    writeFileSync(join(dir, 'report'), report('passed'));
    if (text !== undefined) writeFileSync(join(dir, 'made'), text);
    const fakes = `LANE_REPORT=${dir}/report; lane_obstacle() { :; }; shared_up() { :; }; make() { :; };
      vm_snapshot_dir() { echo ${dir}; }; kind_down() { echo down; };
      timeout() { cp ${dir}/made ${dir}/report 2>/dev/null || true; return ${status}; };`;
    const said = shell(`${fakes} lane`, { KIND_ENGINE: 'vm' });
    return [said.status === 0, said.stdout.split('\n')];
  };

  it('passes by what the report says, and ends the cluster', () => {
    expect(run(report('passed'))).toEqual([true, ['down']]);
  });

  it.each([
    ['has been skipped', report('skipped')],
    ['is not in the report', JSON.stringify({ cases: [] })],
    ['has a report that was cut', '{"cases": ['],
    ['has left no report of this run', undefined],
  ])('fails where the case %s, and ends the cluster', (_, text) => {
    expect(run(text)).toEqual([
      false,
      [expect.stringMatching(/^not ok - ledger-there-and-back has not passed/), 'down'],
    ]);
  });

  it('fails with the suite, and says when its time was over', () => {
    expect(run(report('passed'), 1)).toEqual([false, ['down']]);
    expect(run(report('passed'), 124)).toEqual([
      false,
      [expect.stringMatching(/^not ok - the lane has taken more/), 'down'],
    ]);
  });
});

describe('the environment', () => {
  const script = `${top}/e2e/kind/kind.sh env`;

  it('is what a shell evaluates, and puts kubectl in the path once', () => {
    writeFileSync(join(dir, 'ready'), '');
    const lines = `eval "$(${script})"; eval "$(${script})"; echo "$KUBECONFIG"; echo "$PATH"`;
    const said = shell(lines);
    const [kubeconfig, path = ''] = said.stdout.split('\n');
    expect([said.status, said.stderr, kubeconfig]).toEqual([0, '', join(dir, 'kubeconfig')]);
    expect(path.split(':').filter((one) => one === join(dir, 'bin'))).toHaveLength(1);
  });

  it('says beside that where no cluster is up', () => {
    const said = shell(script);
    expect([said.status, said.stderr]).toEqual([0, expect.stringContaining('make kind-up')]);
    expect(said.stdout).not.toContain('make kind-up');
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
