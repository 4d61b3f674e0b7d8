// SPDX-License-Identifier: Apache-2.0
// A source that takes too long, whose peers do not wait, or of which nothing is left.
import { describe, expect, it } from 'vitest';
import { pods } from '../../../../kube/src/index.ts';
import { pod, REQUEST_UID, SOURCE_UID } from '../../testing/objects.ts';
import {
  api,
  ask,
  decide,
  dieAt,
  journal,
  pass,
  put,
  run,
  runs,
  stage,
  startAgent,
  status,
  sourceNode,
  type Point,
} from '../../testing/source-agent.ts';

describe('a source', () => {
  describe('that hangs', () => {
    it('is cut when the step’s limit is over, and the pod resumes', async () => {
      ask({ timeouts: { dumpSeconds: 1 } });
      put();
      sourceNode.hangs = true;
      const began = Date.now();
      await runs();
      expect(Date.now() - began).toBeGreaterThan(900);
      expect(sourceNode.cut).toMatchObject({ code: 'DumpDeadlineExceeded' });
      expect(status()?.decision).toMatchObject({
        outcome: 'Aborted',
        reason: 'DumpDeadlineExceeded',
        message:
          'Step dump did not end within 1 s. Raise spec.timeouts.dumpSeconds if it needs longer.',
      });
      expect([sourceNode.asItWas, stage()]).toEqual([true, 'Resumed']);
    });

    it('is cut at the limit that was written down, whichever agent process began it', async () => {
      ask({ timeouts: { dumpSeconds: 1 } });
      put();
      await dieAt('dump.before');
      const reported = status()?.sourceAgent?.steps?.find((step) => step.name === 'dump');
      const kept = journal.get(REQUEST_UID, 'source')?.steps.find((step) => step.name === 'dump');
      expect(kept?.deadline).toMatch(/^2/);
      expect(reported).toEqual(kept);
      sourceNode.hangs = true;
      pass(1100);
      await runs();
      expect(sourceNode.cut, 'not even begun again').toBeUndefined();
      expect(status()?.decision?.reason).toBe('DumpDeadlineExceeded');
      expect(sourceNode.asItWas).toBe(true);
    });
  });

  describe('whose policy limits the bandwidth', () => {
    const policy = { name: 'slow', generation: 1, limits: { bandwidthPerMigration: '1Mi' } };

    it('sends no faster, and says so', async () => {
      put({ policy });
      sourceNode.memoryBytes = 2 ** 20;
      await run();
      expect(sourceNode.bytesPerSecond).toBe(2 ** 20);
      expect(status()?.sourceAgent?.bytesPerSecond).toBe(2 ** 20);
      await startAgent();
      put();
      await run();
      expect(status()?.sourceAgent?.bytesPerSecond, 'after a restart').toBe(2 ** 20);
    });

    it('is as fast as it goes without one', async () => {
      put({ policy: { ...policy, limits: { migrations: 1 } } });
      sourceNode.memoryBytes = 2 ** 40;
      await run();
      expect(sourceNode.did).toContain('send');
      expect(sourceNode.bytesPerSecond).toBeUndefined();
      expect(status()?.sourceAgent?.bytesPerSecond).toBeUndefined();
    });

    it('is refused before anything is touched if that takes longer than the step may', async () => {
      put({ policy });
      sourceNode.memoryBytes = 61 * 2 ** 20;
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'BandwidthTooLow']);
      expect(sourceNode.asItWas).toBe(true);
    });

    it('is refused if it has grown until the lock', async () => {
      put({ policy });
      const find = sourceNode.checkpointer.checkDevices.bind(sourceNode.checkpointer);
      sourceNode.checkpointer.checkDevices = async (...args) => {
        sourceNode.fileBytes = 61 * 2 ** 20;
        await find(...args);
      };
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'BandwidthTooLow']);
    });
  });

  describe('whose peers have a retry limit', () => {
    const peers = { rnrRetry: 6, rnrTimer: 0, retryBudgetMs: 3932.16 };

    it('reports the retry budget before it holds the device', async () => {
      put({ peers });
      const hold = sourceNode.checkpointer.holdDevice.bind(sourceNode.checkpointer);
      let reported: unknown;
      sourceNode.checkpointer.holdDevice = async (...args) => {
        reported = status()?.sourceAgent?.peerBudgetMs;
        await hold(...args);
      };
      const began = Date.now();
      await run();
      expect(reported).toBeCloseTo(3132.16);
      expect(sourceNode.held).toBe(0);
      const until = Date.parse(journal.get(REQUEST_UID, 'source')?.peerDeadline ?? '');
      expect(until).toBeGreaterThan(began + 3000);
      expect(until).toBeLessThanOrEqual(Date.now() + 3133);
      expect(status()?.sourceAgent?.peerDeadline).toBe(new Date(until).toISOString());
    });

    it('resumes after the peer deadline, also after a restart', async () => {
      put({ peers });
      await run();
      await startAgent();
      expect(status()?.decision).toBeUndefined();
      pass(3200);
      await runs();
      expect(status()?.decision).toMatchObject({
        outcome: 'Aborted',
        reason: 'PeerRetryBudgetExceeded',
        by: 'agent/node-a',
      });
      expect(sourceNode.asItWas).toBe(true);
    });

    it('is refused before anything is touched if they wait too short', async () => {
      put({ peers: { rnrRetry: 1, rnrTimer: 0, retryBudgetMs: 655.36 } });
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'PeerRetryBudgetTooShort']);
    });

    it('is refused before anything is touched if they wait too short for its memory', async () => {
      put({ peers });
      sourceNode.memoryBytes = 8 * 2 ** 30;
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'PeerRetryBudgetTooShort']);
      expect(status()?.decision?.message).toContain('5200 ms, of which 800 ms are');
      expect(status()?.decision?.message).toContain('4000 ms for 8192 MiB of memory');
    });

    it('is refused if its memory has grown until the lock', async () => {
      put({ peers });
      const find = sourceNode.checkpointer.checkDevices.bind(sourceNode.checkpointer);
      sourceNode.checkpointer.checkDevices = async (...args) => {
        sourceNode.memoryBytes = 8 * 2 ** 30;
        await find(...args);
      };
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'PeerRetryBudgetTooShort']);
    });

    it('is moved if its memory may be moved in that time', async () => {
      put({ peers });
      sourceNode.memoryBytes = 5 * 2 ** 30;
      await run();
      expect(sourceNode.did).toContain('send');
    });

    describe('as its queue pairs have', () => {
      const limited = (budgetMs: number) => ({
        ...{ device: 'rxe0', number: 17, handle: 4, owner: 'Process 41 (brpc)' },
        peer: {
          ...{ rnrRetry: 0, retryCount: 6, timeout: 18, isSilent: true, rnrTimer: 20 },
          budgetMs,
        },
      });

      it('reports their budget before it holds the device', async () => {
        put();
        sourceNode.firstToGiveUp = limited(6420);
        await run();
        expect(status()?.sourceAgent?.peerBudgetMs).toBe(5620);
        expect(status()?.sourceAgent?.peerDeadline).toMatch(/^2/);
        expect(sourceNode.held).toBe(9);
      });

      it('is refused before anything is touched if they wait too short', async () => {
        put();
        sourceNode.firstToGiveUp = limited(1199);
        await runs();
        expect([sourceNode.did, status()?.decision?.reason]).toEqual([
          [],
          'PeerRetryBudgetTooShort',
        ]);
        expect(status()?.decision?.message).toMatch(
          /^Process 41 \(brpc\) has queue pair 17 \(handle 4\) on rxe0 with rnr_retry 0, retry_cnt 6/,
        );
      });

      it('is refused before anything is touched if they wait too short for its memory', async () => {
        put();
        sourceNode.firstToGiveUp = limited(1700);
        sourceNode.memoryBytes = 2 ** 30 + 2 ** 22;
        await runs();
        expect([sourceNode.did, status()?.decision?.reason]).toEqual([
          [],
          'PeerRetryBudgetTooShort',
        ]);
        expect(status()?.decision?.message).toContain('501 ms for 1028 MiB of memory');
      });

      it('does not count if the annotation says otherwise', async () => {
        api.put(pods, pod('app', SOURCE_UID, { 'sealift.dev/peer-rnr-retry': '7' }));
        put();
        sourceNode.firstToGiveUp = limited(0);
        await run();
        expect(status()?.sourceAgent?.peerBudgetMs).toBeUndefined();
        expect(sourceNode.did).toContain('send');
      });

      it('resumes at once if it connects one that gives up sooner while it is being held', async () => {
        put();
        sourceNode.firstToGiveUp = limited(6420);
        const freeze = sourceNode.checkpointer.freezeTasks.bind(sourceNode.checkpointer);
        sourceNode.checkpointer.freezeTasks = async (pod) => {
          await freeze(pod);
          sourceNode.firstToGiveUp = limited(5350);
        };
        await runs();
        expect(status()?.decision).toMatchObject({
          outcome: 'Aborted',
          reason: 'PeerRetryBudgetTooShort',
        });
        expect([sourceNode.did.includes('dump'), sourceNode.asItWas]).toEqual([false, true]);
      });
    });

    it('is refused before anything is touched if the bandwidth is too low for their budget', async () => {
      const limits = { bandwidthPerMigration: '1Mi' };
      put({ peers, policy: { name: 'slow', generation: 1, limits } });
      sourceNode.memoryBytes = 2 ** 20;
      sourceNode.fileBytes = 2 ** 21;
      await runs();
      expect([sourceNode.did, status()?.decision?.reason]).toEqual([[], 'PeerRetryBudgetTooShort']);
      expect(status()?.decision?.message).toContain(
        '3000 ms for 3 MiB of memory and files at 1Mi/s, as MigrationPolicy slow allows',
      );
    });

    it('says which annotation it cannot read', async () => {
      api.put(pods, pod('app', SOURCE_UID, { 'sealift.dev/peer-rnr-retry': '9' }));
      put();
      await runs();
      expect(status()?.decision).toMatchObject({ reason: 'BadAnnotation' });
      expect(status()?.decision?.message).toContain('sealift.dev/peer-rnr-retry');
      expect([sourceNode.held, sourceNode.asItWas]).toEqual([undefined, true]);
    });
  });

  describe('that is lost', () => {
    const lost = async (at: Point = 'dump.before') => {
      put();
      await dieAt(at);
      // What a reset leaves: the disk.
      [sourceNode.locked, sourceNode.held, sourceNode.frozen, sourceNode.gone] = [
        false,
        undefined,
        false,
        true,
      ];
    };

    it('says so, and may start from nothing', async () => {
      await lost();
      await runs();
      expect(status()?.decision).toMatchObject({ outcome: 'Aborted', reason: 'SourceLost' });
      expect(status()?.sourceAgent).toMatchObject({ state: 'Lost', reason: 'SourceLost' });
      expect(stage()).toBe('Resumed');
      await runs();
      expect(status()?.sourceAgent?.state).toBe('Lost');
    });

    it('says so whatever the move was aborted for', async () => {
      await lost('send.after');
      decide('Aborted');
      await run();
      expect(status()?.sourceAgent?.state, 'at once').toBe('Lost');
      await runs();
      expect(status()?.sourceAgent).toMatchObject({ state: 'Lost', reason: 'SourceLost' });
    });

    it('is moved all the same when everything had been sent', async () => {
      put();
      await run();
      sourceNode.gone = true;
      await startAgent();
      await runs();
      expect([stage(), status()?.decision]).toEqual(['Sent', undefined]);
      decide('Committed');
      await runs();
      expect(stage()).toBe('Gone');
    });

    it('does not start from nothing while a checkpoint may take its place', async () => {
      ask({ onSourceLoss: 'RestoreNewestCheckpoint' });
      await lost();
      await runs();
      expect([stage(), status()?.sourceAgent?.state]).toEqual(['Lost', 'Lost']);
      const ended = { type: 'Succeeded', status: 'False', reason: 'SourceLost', message: '' };
      const conditions = [{ ...ended, lastTransitionTime: '2026-01-01T00:00:00Z' }];
      put({ conditions, recovery: { restoreRequestName: 'again' } });
      await runs();
      expect(stage(), 'it is being made').toBe('Lost');
      put({ conditions, recovery: { message: 'no checkpoint' } });
      await runs();
      expect(stage(), 'there is none').toBe('Resumed');
    });

    it('was not lost if it ended after it was resumed', async () => {
      put();
      await run();
      decide('Aborted');
      await dieAt('resume.after');
      sourceNode.gone = true;
      await runs();
      expect([stage(), status()?.sourceAgent?.state]).toEqual(['Resumed', 'Resumed']);
    });
  });
});
