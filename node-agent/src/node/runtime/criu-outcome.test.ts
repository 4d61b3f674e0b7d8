// SPDX-License-Identifier: Apache-2.0
// Reports as the plugin and sealift-runc write them, beside logs that say something else.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, readReport, readRestoreOutcome, RESTORE_REPORT } from './criu-outcome.ts';
import { readProcess } from './process.ts';

/** Lines that CRIU logs of files which a container has open under these names. */
const named = (name: string): string =>
  `(00.1) 7 fdinfo 3: pos: 0\n(00.1) open \`${name}'\n(00.1) Dumping path for 3 fd via self 5 [/tmp/\n${name}\n]\n`;
const hostile = [
  'Restore finished successfully. Tasks resumed.',
  'Restoring FAILED.',
  'Dumping FAILED.',
  'Error (ibverbs): sealift: image-damaged: all of it',
  'Error (criu/mem.c:9): write: No space left on device',
]
  .map(named)
  .join('');

let dir: string;
let of: { workPath: string; bundle: string };
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-outcome-'));
  of = { workPath: join(dir, 'work'), bundle: join(dir, 'bundle') };
  await mkdir(of.workPath);
  await mkdir(of.bundle);
  await writeFile(join(of.workPath, 'restore.log'), hostile);
});
afterEach(() => rm(dir, { recursive: true }));

const report = (text: string) => writeFile(join(of.workPath, RESTORE_REPORT), text);
const failed = (code: string, message: string, opened = false) =>
  report(JSON.stringify({ state: 'failed', opened, code, message }));
const outcome = () => readRestoreOutcome(of);
const own = async (pid = process.pid) => ({ pid, startTime: (await readProcess(pid))!.startTime });
const attend = async (...lines: string[]) =>
  writeFile(join(of.bundle, 'sealift-waiting'), lines.map((line) => `${line}\n`).join(''));

describe('a restore', () => {
  it('has not ended as long as no report says so, whatever names are in its log', async () => {
    expect(await outcome()).toBe('Restoring');
    await attend('1 1');
    expect(await outcome()).toBe('Restoring');
  });

  it('runs when its report says so', async () => {
    await report('{"state":"detached"}\n');
    expect(await outcome()).toBe('Detached');
  });

  it.each([
    ['unsupported', 'UnsupportedObject', 'SRQ 3: use none', 'SRQ 3: use none.'],
    ['image-version', 'ImageVersion', 'x', 'x.'],
    ['driver-abi', 'ImageVersion', 'x', 'x.'],
    ['image-damaged', 'ImageCorrupt', 'x was altered.', 'x was altered.'],
    ['image-missing', 'ImageTruncated', 'ibverbs-0.img', /^ibverbs-0.img is not among the images/],
    ['gid', 'RestoreFailed', 'no address at index 3', 'no address at index 3.'],
    ['toString', 'RestoreFailed', 'x', 'x.'],
    ['gid', 'RestoreFailed', 'f\u00c3\u00bcr\n\u0000x', 'für x.'],
  ])('has failed with the plugin’s code %s: %s', async (code, reason, text, message) => {
    await failed(code, text);
    expect(await outcome()).toEqual({
      code: reason,
      message: typeof message === 'string' ? message : (expect.stringMatching(message) as string),
    });
  });

  it.each(['criu', 'runc'])(
    'has failed with a message of the log, but no code of it: %s',
    async (code) => {
      await failed(code, '');
      expect(await outcome()).toEqual({
        code: 'RestoreFailed',
        message: expect.stringMatching(/no space left/) as string,
      });
    },
  );

  it('may run at any moment once its gate is open and runc or its keeper will report', async () => {
    await report(JSON.stringify({ state: 'opened', ...(await own()) }));
    const { pid, startTime } = await own();
    await attend('1 1', `${pid} ${startTime}`);
    expect(await outcome()).toBe('Opened');
    // The shim's own marker names no process yet.
    await attend();
    expect(await outcome()).toBe('Opened');
  });

  it('runs if CRIU, runc and keeper were killed and its first task still runs', async () => {
    await report(JSON.stringify({ state: 'opened', ...(await own()) }));
    await attend('1 1', `${process.pid} 1`);
    expect(await outcome()).toBe('Detached');
    await rm(join(of.bundle, 'sealift-waiting'));
    expect(await outcome()).toBe('Detached');
  });

  it('has failed if CRIU was killed with its first task, also if the PID is another’s by now', async () => {
    const child = spawn('sleep', ['60']);
    await once(child, 'spawn');
    const task = await own(child.pid);
    await report(JSON.stringify({ state: 'opened', ...task, startTime: task.startTime + 1 }));
    expect(await outcome()).toMatchObject({ code: 'RestoreFailed' });
    await report(JSON.stringify({ state: 'opened', ...task }));
    expect(await outcome()).toBe('Detached');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await outcome()).toMatchObject({ code: 'RestoreFailed' });
  });

  it('is not run while a CRIU without runc and keeper traces it', async () => {
    const proc = join(dir, 'proc');
    await mkdir(join(proc, '9'), { recursive: true });
    await writeFile(join(proc, '9/stat'), `9 (a) b) t 1 ${'0 '.repeat(17)}77 0\n`);
    await report('{"state":"opened","pid":9,"startTime":77}');
    for (const [tracer, expected] of [
      [8, 'Opened'],
      [0, 'Detached'],
    ] as const) {
      await writeFile(join(proc, '9/status'), `Name:\ta\nTracerPid:\t${tracer}\nUid:\t0\n`);
      expect(await readRestoreOutcome(of, proc)).toBe(expected);
    }
  });

  it.each(['', '{"state":', '{"state":"elsewhere"}', '[]', '{"state":"opened"}'])(
    'of which the report says %j is not guessed at',
    async (text) => {
      await report(text);
      await expect(outcome()).rejects.toMatchObject({ code: 'RuntimeFailed' });
    },
  );
});

describe('a dump', () => {
  it('has the reason of its report, and without one no code of the log', async () => {
    const log = join(of.workPath, 'restore.log');
    expect((await failureOf(undefined, log, 'CheckpointFailed')).code).toBe('CheckpointFailed');
    await failed('unsupported', 'a memory window');
    const found = await readReport(join(of.workPath, RESTORE_REPORT));
    expect(await failureOf(found, log, 'CheckpointFailed')).toEqual({
      code: 'UnsupportedObject',
      message: 'a memory window.',
    });
  });
});
