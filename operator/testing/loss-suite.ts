// SPDX-License-Identifier: Apache-2.0
// Lost sources, peers with a retry limit, and retention of checkpoints, with a real API server.
import { describe, expect, it } from 'vitest';
import { annotations } from '../../crds/src/index.ts';
import { checkpointRequests, migrationRequests, restoreRequests } from '../../kube/src/index.ts';
import { clockAt } from '../../kube/testing/clock.ts';
import { ended, eventually, failed, networksOf, type Cluster } from './cluster.ts';
import { prepared } from './moving.ts';

const moves = migrationRequests;
const saves = checkpointRequests;
const some = expect.any(String) as string;

export function lossSuite(cluster: () => Cluster): void {
  /** A checkpoint of a running pod, its images on node `a`. */
  async function saved(name: string, podName: string, spec: object = {}): Promise<void> {
    const c = cluster();
    await c.checkpoint(name, podName, spec);
    await c.until(saves, name, { phase: 'Checkpointing' });
    await c.checkpointAgent(name, {
      state: 'Stored',
      path: `/images/${name}`,
      digest: 'sha256:1',
      size: 9,
      steps: [{ name: 'hold', startTime: new Date().toISOString() }],
    });
    await c.until(saves, name, { ...ended('Succeeded'), size: 9 });
  }

  /** Up to a source that is being dumped. */
  async function dumping(name: string, podName: string, spec: object = {}): Promise<string> {
    const c = cluster();
    const target = await prepared(c, name, podName, spec);
    await c.source(moves, name, { state: 'Dumping' });
    return target;
  }

  const gone = { state: 'Failed', reason: 'SourceLost', message: 'node a was reset' } as const;

  it('a target that ends after its resume and is started afresh is no success', async () => {
    const c = cluster();
    await c.run('afresh', { spec: { restartPolicy: 'Always' } });
    const target = await dumping('afresh', 'afresh');
    await c.target(moves, 'afresh', { state: 'AtResumeGate' });
    await c.commit(moves, 'afresh');
    await c.source(moves, 'afresh', { state: 'Gone' });
    const resumed = new Date();
    await c.target(moves, 'afresh', { state: 'Running', resumedAt: resumed.toISOString() });
    await c.podRuns(target);
    await c.until(moves, 'afresh', { deadlines: { lastLook: some } });
    const finishedAt = resumed.toISOString().replace(/\.\d+/, '');
    const end = { exitCode: 139, startedAt: finishedAt, finishedAt, reason: 'Error' };
    const status = { name: 'main', ready: true, restartCount: 1, image: 'x', imageID: '' };
    await c.podStatus(target, {
      containerStatuses: [
        {
          ...status,
          state: { running: { startedAt: finishedAt } },
          lastState: { terminated: end },
        },
      ],
    });
    const done = await c.until(moves, 'afresh', {
      ...ended('Failed'),
      ...failed('TargetRestarted'),
    });
    expect(done.status.decision?.outcome).toBe('Committed');
    await eventually(
      async () => (await c.pod(target))?.metadata.annotations[annotations.migration],
    ).toBeUndefined();
  });

  describe('a source that is lost', () => {
    const again = { onSourceLoss: 'RestoreNewestCheckpoint' };

    it('is left to its kubelet', async () => {
      const c = cluster();
      const source = await c.run('lost-1');
      await saved('lost-1', 'lost-1');
      const target = await dumping('lost-1', 'lost-1');
      await c.source(moves, 'lost-1', gone);
      await c.podGone(target);
      await c.until(moves, 'lost-1', { decision: { reason: 'SourceLost' } });
      await c.source(moves, 'lost-1', { ...gone, state: 'Lost' });
      const { status } = await c.until(moves, 'lost-1', ended('Failed'));
      expect(status).toMatchObject(failed('SourceLost'));
      expect(status.recovery).toBeUndefined();
      const { items } = await c.client.list(restoreRequests, { namespace: 'default' });
      const made = items.map((one) => restoreRequests.parse(one).spec.checkpointName);
      expect(made).not.toContain('lost-1');
      await c.untouched(source);
    });

    it('is restored from its newest checkpoint once it is gone, and not before', async () => {
      const c = cluster();
      const source = await c.run('lost-2', { ip: '10.99.0.70' });
      await saved('lost-2-old', 'lost-2');
      await new Promise((resolve) => setTimeout(resolve, 5));
      await saved('lost-2-new', 'lost-2');
      const target = await dumping('lost-2', 'lost-2', again);
      await c.source(moves, 'lost-2', gone);
      await c.podGone(target);
      await c.source(moves, 'lost-2', { ...gone, state: 'Lost' });
      const { metadata, status } = await c.until(moves, 'lost-2', {
        recovery: { checkpointName: 'lost-2-new', restoreRequestName: some },
      });
      const name = status.recovery?.restoreRequestName ?? '';
      expect(name).toBe(`lost-2-restore-${metadata.uid.slice(0, 8)}`);
      const deletedAt = async () => (await c.pod('lost-2'))?.metadata.deletionTimestamp;
      await eventually(deletedAt).toBeDefined();
      expect(await c.find(restoreRequests, name)).toBeUndefined();
      expect((await c.find(moves, 'lost-2'))?.status?.completionTime).toBeUndefined();

      await c.podGone('lost-2');
      const done = await c.until(moves, 'lost-2', { ...ended('Failed'), ...failed('SourceLost') });
      const message = done.status.conditions?.find((one) => one.type === 'Succeeded')?.message;
      expect(message).toContain(name);
      await eventually(() => c.events(metadata.uid)).toContain('Normal RestoringCheckpoint');
      await c.until(restoreRequests, name, { target: { podName: 'lost-2', podUID: some } });
      const made = await c.pod('lost-2');
      expect(made?.metadata.uid).not.toBe(source.metadata.uid);
      expect(networksOf(made)).toMatchObject([{ ips: ['10.99.0.70/24'] }]);

      // A user who deletes the failed request keeps the pod.
      await c.client.delete(moves, 'default', 'lost-2');
      await eventually(() => c.find(moves, 'lost-2')).toBeUndefined();
      expect((await c.find(restoreRequests, name))?.metadata.deletionTimestamp).toBeUndefined();
      await c.client.delete(restoreRequests, 'default', name);
      // The pod is not bound to a node: no kubelet has to confirm.
      await eventually(() => c.pod('lost-2')).toBeUndefined();
    });

    it('without a checkpoint stays as it is, and the request says so', async () => {
      const c = cluster();
      const source = await c.run('lost-3');
      const target = await dumping('lost-3', 'lost-3', again);
      await c.source(moves, 'lost-3', gone);
      await c.podGone(target);
      await c.source(moves, 'lost-3', { ...gone, state: 'Lost' });
      const { metadata, status } = await c.until(moves, 'lost-3', {
        ...ended('Failed'),
        ...failed('SourceLost'),
      });
      expect(status.recovery?.message).toMatch(/no CheckpointRequest of pod lost-3/);
      await eventually(() => c.events(metadata.uid)).toContain('Warning NoCheckpoint');
      await c.untouched(source);
    });

    it('that has completed is not lost, though its agent has reported so', async () => {
      const c = cluster();
      await c.run('done-1', { spec: { restartPolicy: 'Never' } });
      await saved('done-1', 'done-1');
      await c.migrate('done-1', 'done-1', again);
      await c.until(moves, 'done-1', { target: { podUID: some } });
      await c.source(moves, 'done-1', gone);
      await c.until(moves, 'done-1', { decision: { reason: 'SourceLost' } });
      const completed = await c.podStatus('done-1', { phase: 'Succeeded' });
      const { status, metadata } = await c.until(moves, 'done-1', {
        ...ended('Failed'),
        ...failed('PodCompleted'),
      });
      expect(status.recovery).toBeUndefined();
      await eventually(() => c.events(metadata.uid)).toContain('Warning PodCompleted');
      await c.untouched(completed);
    });

    it('is recognized from its pod alone', async () => {
      const c = cluster();
      await c.run('lost-4');
      await c.migrate('lost-4', 'lost-4');
      await c.until(moves, 'lost-4', { target: { podUID: some } });
      await c.podStatus('lost-4', { phase: 'Failed' });
      const { status } = await c.until(moves, 'lost-4', failed('SourceLost'));
      expect(status.decision).toMatchObject({ by: 'operator', reason: 'SourceLost' });
    });
  });

  describe('peers with a retry limit', () => {
    it.each([
      [
        'that is too short',
        { [annotations.peerRnrRetry]: '6', [annotations.rnrTimer]: '20' },
        'PeerRetryBudgetTooShort',
      ],
      ['that cannot be read', { [annotations.peerRnrRetry]: 'ten' }, 'BadAnnotation'],
    ])('%s: the pod is not touched', async (name, podAnnotations, reason) => {
      const c = cluster();
      const podName = `peers-${reason.toLowerCase()}`;
      const source = await c.run(podName, { podAnnotations });
      await c.migrate(podName, podName);
      const { status } = await c.until(moves, podName, { ...ended('Failed'), ...failed(reason) });
      expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message, name).toContain(
        annotations.peerRnrRetry,
      );
      await c.untouched(source);
    });

    it('that is long enough: the status shows it to both agents', async () => {
      const c = cluster();
      await c.run('peers-limited', { podAnnotations: { [annotations.peerRnrRetry]: '6' } });
      await c.migrate('peers-limited', 'peers-limited');
      const peers = { rnrRetry: 6, rnrTimer: 0, retryBudgetMs: 3932.16 };
      await c.until(moves, 'peers-limited', { phase: 'Preparing', peers });
      await c.client.delete(moves, 'default', 'peers-limited');
    });
  });

  it('keeps a checkpoint for its time, whichever clock a new leader has', async () => {
    const c = cluster();
    /** The next leader, on that node, whose clock is that far ahead. */
    const lead = async (nodeName: string, aheadMs: number): Promise<void> => {
      await c.stopOperator();
      const clock = clockAt(() => Date.now() + aheadMs);
      c.startOperator({ nodeName, clock });
    };
    const seenOn = async () =>
      (await c.find(saves, 'timed'))?.status?.finishedSeen?.map(({ nodeName }) => nodeName);
    await c.run('timed');
    await lead('one', 0);
    await saved('timed', 'timed', { ttlSecondsAfterFinished: 600 });
    await eventually(seenOn).toEqual(['one']);
    await lead('two', 3_600_000);
    await eventually(seenOn).toEqual(['one', 'two']);
    await lead('one', 590_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await c.find(saves, 'timed'))?.metadata.deletionTimestamp).toBeUndefined();
    await lead('one', 601_000);
    const deletedAt = async () => (await c.find(saves, 'timed'))?.metadata.deletionTimestamp;
    await eventually(deletedAt).toBeDefined();
    await c.checkpointAgent('timed', { state: 'Removed' });
    await eventually(() => c.find(saves, 'timed')).toBeUndefined();
    await c.stopOperator();
    c.startOperator();
  });

  it('keeps only as many checkpoints of a pod as spec.retention.keepLast says', async () => {
    const c = cluster();
    await c.run('pruned');
    const few = { retention: { keepLast: 2 } };
    for (const name of ['pruned-1', 'pruned-2', 'pruned-3']) {
      await saved(name, 'pruned', few);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const deletedAt = async () => (await c.find(saves, 'pruned-1'))?.metadata.deletionTimestamp;
    await eventually(deletedAt).toBeDefined();
    await c.checkpointAgent('pruned-1', { state: 'Removed' });
    await eventually(() => c.find(saves, 'pruned-1')).toBeUndefined();
    for (const name of ['pruned-2', 'pruned-3']) {
      expect((await c.find(saves, name))?.metadata.deletionTimestamp).toBeUndefined();
    }
  });
}
