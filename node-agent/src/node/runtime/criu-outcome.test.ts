// SPDX-License-Identifier: Apache-2.0
// Reports as the plugin and sealift-runc write them, beside logs that say something else.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failureOf, readCriuOutcome, readReport, RESTORE_REPORT } from './criu-outcome.ts';

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
let workPath: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-outcome-'));
  workPath = join(dir, 'work');
  await mkdir(workPath);
  await writeFile(join(workPath, 'restore.log'), hostile);
});
afterEach(() => rm(dir, { recursive: true }));

const report = (text: string) => writeFile(join(workPath, RESTORE_REPORT), text);
const failed = (code: string, message: string) =>
  report(JSON.stringify({ state: 'failed', code, message }));
const outcome = () => readCriuOutcome(workPath);

describe('a restore', () => {
  it('has not ended as long as no report says so, whatever names are in its log', async () => {
    expect(await outcome()).toBe('Restoring');
  });

  it.each(['', '\0\0\0'])(
    'has not ended if the node lost its power before its report: %j',
    async (lost) => {
      await report(lost);
      expect(await outcome()).toBe('Restoring');
      expect(await readReport(join(workPath, RESTORE_REPORT))).toBeUndefined();
    },
  );

  it('has ended when its report says so', async () => {
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

  it.each(['{"state":', '{"state":"elsewhere"}', '[]', '{"state":"opened"}'])(
    'of which the report says %j is not guessed at',
    async (text) => {
      await report(text);
      await expect(outcome()).rejects.toMatchObject({ code: 'RuntimeFailed' });
    },
  );
});

describe('a dump', () => {
  it('has the reason of its report, and without one no code of the log', async () => {
    const log = join(workPath, 'restore.log');
    expect((await failureOf(undefined, log, 'CheckpointFailed')).code).toBe('CheckpointFailed');
    await failed('unsupported', 'a memory window');
    const found = await readReport(join(workPath, RESTORE_REPORT));
    expect(await failureOf(found, log, 'CheckpointFailed')).toEqual({
      code: 'UnsupportedObject',
      message: 'a memory window.',
    });
  });
});
