// SPDX-License-Identifier: Apache-2.0
// A target on a node whose disk is full or read-only. The journal tells the next agent that containers may have run; where it
// cannot be written, the status does.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ImageStore } from '../../node/transfer/image-store.ts';
import { DiskDirectory } from '../../support/journal/journal-directory.ts';
import { TARGET_UID } from '../../testing/objects.ts';
import {
  create,
  images,
  node,
  put,
  record,
  restartAgent,
  resumeGate,
  run,
  runs,
  stage,
  state,
  status,
  toResumeGate,
} from '../../testing/target-agent.ts';

const real = Object.getOwnPropertyDescriptor(DiskDirectory.prototype, 'replace')
  ?.value as DiskDirectory['replace'];
let code: string | undefined;
beforeEach(() => {
  code = undefined;
  vi.restoreAllMocks();
  vi.spyOn(DiskDirectory.prototype, 'replace').mockImplementation(async function (
    this: DiskDirectory,
    ...of
  ) {
    if (code !== undefined) throw Object.assign(new Error(`${code}: a write`), { code });
    return real.apply(this, of);
  });
});

describe('a disk with too little room for the images', () => {
  const GIB = 2 ** 30;
  const found = {
    target: {
      ...{ nodeName: 'node-b', podName: 'app-2', podUID: TARGET_UID },
      memory: { bytes: 3 * GIB, imageBytes: GIB },
    },
    deadlines: {},
  };

  it('is named at the create gate, and nothing may begin', async () => {
    put(found);
    const free = vi.spyOn(ImageStore.prototype, 'freeBytes').mockResolvedValue(GIB);
    void create();
    await run();
    expect(status()?.targetAgent).toMatchObject({
      ...{ state: 'Preparing', reason: 'DiskFull', refuses: TARGET_UID },
      message: expect.stringMatching(
        /^The disk of node node-b has 1024 MiB free .* at least 1024 MiB, .* another node\.$/,
      ) as string,
    });
    expect(status()?.decision, 'the operator may try another node').toBeUndefined();
    free.mockResolvedValue(2 * GIB);
    await run();
    expect(status()?.targetAgent).toMatchObject({ state: 'AtCreateGate' });
    expect(status()?.targetAgent).not.toHaveProperty('refuses');
  });

  it.each([
    ['of a pod that nobody has measured', 0, { deadlines: {} }],
    ['of a disk that does not say', undefined, found],
  ])('is not looked for, %s', async (_name, free, change) => {
    put(change);
    vi.spyOn(ImageStore.prototype, 'freeBytes').mockResolvedValue(free);
    void create();
    await run();
    expect(state()).toBe('AtCreateGate');
  });
});

describe.each(['ENOSPC', 'EROFS'])('a disk that takes nothing any more (%s)', (error) => {
  it('keeps no committed pod from running, and the status says that it may', async () => {
    await toResumeGate();
    record('Committed');
    code = error;
    await expect(run()).rejects.toThrow(error);
    expect([node.ran, node.locked]).toEqual([1, false]);
    expect(state()).toBe('Running');
    code = undefined;
    await run();
    expect(stage()).toBe('Running');
    expect(node.ran).toBe(1);
  });

  it('lets nothing run that neither journal nor status knows of', async () => {
    await toResumeGate();
    record('Committed');
    code = error;
    node.dieAt = 'resume.before';
    run().catch(() => undefined);
    await node.died.promise;
    expect(state(), 'before anything of the pod is heard').toBe('Running');
  });

  it('restores no container once more that has run, whichever agent is asked', async () => {
    await toResumeGate();
    record('Committed');
    code = error;
    await runs(2);
    expect(node.ran).toBe(1);
    await restartAgent();
    expect(stage(), 'of the disk').toMatch(/^(Restoring|AtResumeGate)$/);
    // The container ends, and its kubelet makes it again.
    const before = node.prepared;
    code = undefined;
    node.outcomes['main'] = { code: 'RestoreFailed', message: 'the container is gone' };
    void create('c2').catch(() => undefined);
    await runs(4);
    expect(node.prepared).toBe(before);
    expect(state()).not.toBe('Restoring');
  });

  it('ends a move whose restore it keeps from beginning', async () => {
    put();
    void create().catch(() => undefined);
    await images();
    code = error;
    await runs(3);
    expect(status()?.decision?.outcome).toBe('Aborted');
    expect(node.ran).toBe(0);
  });

  it('keeps a pod from being committed', async () => {
    put();
    const created = create();
    await images();
    await run();
    await created;
    await resumeGate();
    code = error;
    await runs(3);
    expect(status()?.decision?.outcome).not.toBe('Committed');
    expect(node.ran).toBe(0);
  });
});
