// SPDX-License-Identifier: Apache-2.0
// Real programs: how they end, and that all that they have started ends with them.
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Host, type Ask } from './host.ts';

const host = new Host({ root: '/' });
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-host-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

/** A program that starts another one, as runc starts CRIU, and waits for it. */
const parent = () => ['-c', `sleep 60 & echo $! > ${dir}/child; wait`];
const childLives = async (): Promise<boolean> => {
  const pid = (await readFile(join(dir, 'child'), 'utf8')).trim();
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
};
const childDies = () => expect.poll(childLives).toBe(false);

describe('a path of the host', () => {
  it.each(['/', ''])('is found where a link leads to nothing: root %s', async (root) => {
    await symlink('none/here', join(dir, 'link'));
    await symlink('loop', join(dir, 'loop'));
    const [seen, below] = root === '/' ? [host, dir] : [new Host({ root: dir }), '/'];
    expect(seen.resolve(join(below, 'link/a'))).toBe(join(below, 'none/here/a'));
    expect(seen.resolve(join(below, 'loop/a'))).toBe(join(below, 'loop/a'));
  });

  it('goes through the host’s absolute links, not through the agent’s own', async () => {
    const seen = new Host({ root: dir });
    await mkdir(join(dir, 'run', 'netns'), { recursive: true });
    await mkdir(join(dir, 'data', 'kubelet', 'pods'), { recursive: true });
    await mkdir(join(dir, 'var', 'lib'), { recursive: true });
    await symlink('/run', join(dir, 'var', 'run'));
    await symlink('/data/link', join(dir, 'var', 'lib', 'kubelet'));
    await symlink('kubelet', join(dir, 'data', 'link'));
    await writeFile(join(dir, 'data', 'kubelet', 'pods', 'file'), 'here');
    expect(seen.path('/var/run/netns/x')).toBe(join(dir, 'run/netns/x'));
    expect(await readFile(seen.path('/var/lib/kubelet/pods/file'), 'utf8')).toBe('here');
    expect(seen.path('/var/lib/not/there')).toBe(join(dir, 'var/lib/not/there'));
  });

  it('does not follow links in a circle for ever', async () => {
    const seen = new Host({ root: dir });
    await symlink('/b', join(dir, 'a'));
    await symlink('/a', join(dir, 'b'));
    expect(seen.path('/a/x').startsWith(dir)).toBe(true);
  });

  it('cannot leave the host’s root', async () => {
    await symlink('../../../../etc', join(dir, 'up'));
    expect(new Host({ root: dir }).path('/up/passwd')).toBe(join(dir, 'etc/passwd'));
  });
});

describe('a program of the host', () => {
  it('is killed with all that it has started when its time is over', async () => {
    const run = host.run('sh', parent(), { timeoutMs: 2000 });
    await expect(run).rejects.toMatchObject({ code: 'RuntimeFailed' });
    await childDies();
  });

  it('is killed with all that it has started when it is not needed any more', async () => {
    const stop = new AbortController();
    const run = host.run('sh', parent(), { signal: stop.signal });
    await expect.poll(() => readFile(join(dir, 'child'), 'utf8').catch(() => '')).not.toBe('');
    stop.abort();
    await expect(run).rejects.toMatchObject({ code: 'Aborted' });
    await childDies();
    await expect(host.run('sleep', ['60'], { signal: stop.signal })).rejects.toMatchObject({
      code: 'Aborted',
    });
  });

  describe('that is interrupted', () => {
    /** A program that cleans up before it ends, as CRIU does. `ready` exists once its handler is set. */
    const all = { afterMs: 0, whom: 'all', with: ['SIGCONT', 'SIGALRM'] } as const;
    const interrupted = async (script: string, graceMs: number, ask: Ask[] = [all]) => {
      const when = new AbortController();
      const run = host.run(
        'bash',
        ['-c', `${script}; touch ${dir}/ready; while :; do sleep 0.05; done`],
        {
          interrupt: { when: when.signal, ask, graceMs },
        },
      );
      run.catch(() => undefined);
      await expect
        .poll(() => readFile(join(dir, 'ready'), 'utf8').catch(() => undefined))
        .toBeDefined();
      when.abort();
      return run;
    };

    it('cleans up and ends by itself', async () => {
      const clean = `trap 'echo back >${dir}/back; exit 9' ALRM`;
      expect((await interrupted(clean, 20_000)).status).toBe(9);
      expect(await readFile(join(dir, 'back'), 'utf8')).toBe('back\n');
    });

    it('is asked alone first, and what it has started later', async () => {
      // The shell's handler waits until the program that it has started has ended, unless that gets the signal too.
      const started = `sh -c 'touch ${dir}/ready; exec sleep 60'`;
      const first = { ...all, whom: 'program' } as const;
      const begun = performance.now();
      const run = interrupted(`trap 'exit 9' ALRM; ${started}`, 20_000, [
        first,
        { ...all, afterMs: 1000 },
      ]);
      expect((await run).status).toBe(9);
      expect(performance.now() - begun).toBeGreaterThan(1000);
    });

    it('is killed if it ignores the signals', async () => {
      const run = interrupted(`trap '' ALRM`, 200);
      await expect(run).rejects.toMatchObject({ code: 'Aborted' });
    });
  });

  it('leaves its status and the end of its output', async () => {
    const loud = 'head -c 300000 /dev/zero | tr "\\0" x; echo end; echo why >&2; exit 3';
    const result = await host.run('sh', ['-c', loud]);
    expect([result.status, result.stderr]).toEqual([3, 'why\n']);
    expect(result.stdout.length).toBeLessThan(70_000);
    expect(result.stdout.endsWith('end\n')).toBe(true);
    await expect(host.check('sh', ['-c', 'echo why >&2; exit 3'])).rejects.toMatchObject({
      code: 'RuntimeFailed',
      message: expect.stringContaining('why') as string,
    });
    await expect(host.run('/nonexistent', [])).rejects.toMatchObject({ code: 'RuntimeFailed' });
    await sleep(0);
  });
});
