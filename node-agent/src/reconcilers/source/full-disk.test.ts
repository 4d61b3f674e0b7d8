// SPDX-License-Identifier: Apache-2.0
// A source on a node whose disk is full or read-only. The journal and the images are on the same disk.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ImageStore } from '../../node/transfer/image-store.ts';
import { AgentError } from '../../support/errors.ts';
import { exists } from '../../support/exists.ts';
import { DiskDirectory } from '../../support/journal/journal-directory.ts';
import { Journal } from '../../support/journal/journal.ts';
import { REQUEST_UID } from '../../testing/objects.ts';
import {
  decide,
  dir,
  dieAt,
  put,
  run,
  runs,
  sourceNode,
  stage,
  status,
} from '../../testing/source-agent.ts';

const imagesDir = (): string => join(dir, 'images', REQUEST_UID);
const errno = (code: string): Error => Object.assign(new Error(`${code}: a write`), { code });
/** Undefined: the disk takes everything. Else asked before each write of the journal. */
let refuses: () => Promise<string | undefined>;
const real = Object.getOwnPropertyDescriptor(DiskDirectory.prototype, 'replace')
  ?.value as DiskDirectory['replace'];

beforeEach(() => {
  refuses = async () => undefined;
  vi.restoreAllMocks();
  vi.spyOn(DiskDirectory.prototype, 'replace').mockImplementation(async function (
    this: DiskDirectory,
    ...of
  ) {
    const code = await refuses();
    if (code !== undefined) throw errno(code);
    return real.apply(this, of);
  });
});

/** CRIU fills the disk at its first attempt, and says so. */
function fillTheDisk(): void {
  const filled = async (): Promise<never> => {
    await mkdir(join(imagesDir(), 'main'), { recursive: true });
    await writeFile(join(imagesDir(), 'main', 'pages-1.img'), 'x');
    throw new AgentError('DiskFull', 'The node has no space left for the images of this dump.');
  };
  vi.spyOn(sourceNode.checkpointer, 'dumpContainers').mockImplementation(filled);
  refuses = async () => ((await exists(imagesDir())) ? 'ENOSPC' : undefined);
}

/** What the next agent would find on the disk. */
async function stageOnDisk(): Promise<string | undefined> {
  const { journal } = await Journal.open(join(dir, 'journal'));
  return journal.get(REQUEST_UID, 'source')?.stage;
}

describe('a dump that fills the disk', () => {
  it('is removed at once, and its request aborted for that', async () => {
    put();
    fillTheDisk();
    await runs(3);
    expect(await exists(imagesDir())).toBe(false);
    expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'DiskFull' });
    await runs(2);
    expect(sourceNode.asItWas).toBe(true);
    expect([stage(), await stageOnDisk()]).toEqual(['Resumed', 'Resumed']);
    expect(status()?.sourceAgent).toMatchObject({ state: 'Resumed', reason: 'DiskFull' });
  });
});

describe.each(['ENOSPC', 'EROFS', 'EIO'])('a disk that takes nothing any more (%s)', (code) => {
  const now = (): void => void (refuses = async () => code);
  const again = (): void => void (refuses = async () => undefined);

  it('keeps no pod frozen after Aborted', async () => {
    put();
    await run();
    expect([stage(), sourceNode.frozen]).toEqual(['Sent', true]);
    now();
    decide('Aborted');
    await expect(run()).rejects.toThrow(code);
    expect(sourceNode.asItWas).toBe(true);
    expect(stage(), 'no other request may have the pod before the disk knows').toBe('Sent');
    again();
    await run();
    expect([stage(), await stageOnDisk()]).toEqual(['Resumed', 'Resumed']);
    expect(status()?.sourceAgent?.state).toBe('Resumed');
  });

  it('keeps no pod frozen when the agent ends then', async () => {
    put();
    await run();
    now();
    decide('Aborted');
    await dieAt('resume.before');
    expect(stage()).toBe('Sent');
    await run().catch(() => undefined);
    expect(sourceNode.asItWas).toBe(true);
  });

  it('ends a move that it strikes', async () => {
    put();
    vi.spyOn(sourceNode.checkpointer, 'freezeTasks').mockImplementationOnce(async () => now());
    await runs(3);
    expect(status()?.decision?.outcome).toBe('Aborted');
    await runs(2);
    expect(sourceNode.asItWas).toBe(true);
  });

  it('lets no committed source answer beside its target', async () => {
    put();
    await run();
    now();
    decide('Committed');
    await expect(run()).rejects.toThrow(code);
    expect(sourceNode.did.at(-1)).toBe('stop');
    expect(stage(), 'creates are refused').toBe('Stopping');
    again();
    await run();
    expect(await stageOnDisk()).toBe('Gone');
  });
});

describe('a disk with too little room', () => {
  it.each([
    ['before the target is ready', 0],
    ['when the pod is about to be locked', 1],
  ])('is named %s, and nothing is touched', async (_when, looks) => {
    put(looks === 0 ? { targetAgent: { state: 'Preparing' } } : {});
    sourceNode.memoryBytes = 2 ** 30;
    vi.spyOn(ImageStore.prototype, 'freeBytes').mockResolvedValue(2 ** 30);
    await runs(2);
    expect(sourceNode.did).toEqual([]);
    expect(status()?.decision).toMatchObject({
      outcome: 'Aborted',
      reason: 'DiskFull',
      message: expect.stringMatching(
        /^The disk of node node-a has 1024 MiB free .* take at least 1024 MiB, .* new request\.$/,
      ) as string,
    });
  });

  it('is none that has room, or does not say', async () => {
    sourceNode.memoryBytes = 2 ** 30;
    for (const free of [2 ** 30 + 64 * 2 ** 20, undefined]) {
      vi.spyOn(ImageStore.prototype, 'freeBytes').mockResolvedValue(free);
      put();
      await run();
      expect(stage()).toBe('Sent');
    }
  });
});
