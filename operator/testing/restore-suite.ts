// SPDX-License-Identifier: Apache-2.0
// CheckpointRequests and RestoreRequests, with a real API server.
import { describe, expect, it } from 'vitest';
import { annotations, finalizers, labels } from '../../crds/src/index.ts';
import { checkpointRequests, pods, restoreRequests, type Pod } from '../../kube/src/index.ts';
import { ended, eventually, failed, macOf, networksOf, type Cluster } from './cluster.ts';

const restores = restoreRequests;
const saves = checkpointRequests;

export function restoreSuite(cluster: () => Cluster): void {
  describe('checkpoints and restores', () => {
    /** A checkpoint of a new pod, its images on node `a`. */
    async function saved(name: string, ip: string): Promise<Pod> {
      const source = await cluster().run(name, { ip });
      await cluster().checkpoint(name, name);
      const { metadata, status } = await cluster().until(saves, name, { phase: 'Checkpointing' });
      expect(status).toMatchObject({
        ...{ nodeName: 'a', podUID: source.metadata.uid, checkpointId: metadata.uid },
        deadline: expect.any(String) as string,
      });
      await cluster().checkpointAgent(name, { state: 'Dumping' });
      await cluster().checkpointAgent(name, {
        state: 'Stored',
        path: `/images/${name}`,
        digest: 'sha256:1',
      });
      await cluster().until(saves, name, { ...ended('Succeeded'), location: `a:/images/${name}` });
      await cluster().untouched(source);
      return source;
    }

    it('keep the images as long as the request', async () => {
      await saved('kept', '10.99.0.20');
      await cluster().client.delete(saves, 'default', 'kept');
      const { metadata } = await cluster().until(saves, 'kept', { phase: 'Succeeded' });
      expect(metadata.finalizers).toEqual([finalizers.images]);
      await cluster().checkpointAgent('kept', { state: 'Removed' });
      await eventually(() => cluster().find(saves, 'kept')).toBeUndefined();
    });

    it('say why a checkpoint has failed', async () => {
      await cluster().run('unsound');
      await cluster().checkpoint('unsound', 'unsound');
      await cluster().until(saves, 'unsound', { phase: 'Checkpointing' });
      const reason = 'UnsupportedObject';
      await cluster().checkpointAgent('unsound', {
        state: 'Failed',
        reason,
        message: 'a shared receive queue',
      });
      await cluster().until(saves, 'unsound', { ...ended('Failed'), ...failed(reason) });
    });

    it('create a second pod with an address of its own while the first one runs', async () => {
      const source = await saved('twin', '10.99.0.30');
      await cluster().restore('twin-1', 'twin');
      const { status } = await cluster().until(restores, 'twin-1', failed('AddressInUse'));
      expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).toMatch(
        /10.99.0.30 on network default\/fabric belongs to pod default\/twin; .*spec.addresses/,
      );
      const addresses = [{ network: 'fabric', ips: ['10.99.0.31'] }];
      await cluster().restore('twin-2', 'twin', {
        podName: 'second',
        targetNodeName: 'b',
        addresses,
      });
      await cluster().until(restores, 'twin-2', {
        target: { podUID: expect.any(String) as string },
      });
      expect(networksOf(await cluster().pod('second'))).toMatchObject([{ ips: ['10.99.0.31/24'] }]);
      const { annotations: podAnnotations } = (await cluster().pod('second'))?.metadata ?? {};
      expect(
        podAnnotations?.[annotations.rdmaDevice],
        'the first one has that name',
      ).toBeUndefined();
      await cluster().bind('second', 'b');
      await cluster().target(restores, 'twin-2', { state: 'AtCreateGate' });
      await cluster().until(restores, 'twin-2', {
        deadlines: { blackout: expect.any(String) as string },
      });
      await cluster().source(restores, 'twin-2', { state: 'Sent' });
      await cluster().target(restores, 'twin-2', { state: 'AtResumeGate' });
      await cluster().commit(restores, 'twin-2');
      await eventually(async () => (await cluster().pod('second'))?.metadata.labels).toEqual({
        ...{ app: 'twin', [labels.fabricIp]: 'kept' },
      });
      await cluster().target(restores, 'twin-2', { state: 'Running' });
      await cluster().until(restores, 'twin-2', ended('Succeeded'));
      expect(
        (await cluster().pod('second'))?.metadata.annotations[annotations.restore],
      ).toBeUndefined();
      await cluster().untouched(source);
    });

    it('give a new pod the old address when no pod owns it', async () => {
      const source = await saved('gone', '10.99.0.40');
      await cluster().client.delete(pods, 'default', 'gone', { gracePeriodSeconds: 0 });
      await cluster().restore('gone', 'gone', { podName: 'gone' });
      await cluster().until(restores, 'gone', { target: { podUID: expect.any(String) as string } });
      expect(networksOf(await cluster().pod('gone'))).toMatchObject([
        { ips: ['10.99.0.40/24'], mac: macOf('10.99.0.40') },
      ]);
      expect((await cluster().pod('gone'))?.metadata.annotations[annotations.rdmaDevice]).toBe(
        `rxe${source.metadata.uid.replaceAll('-', '').slice(0, 10)}`,
      );
      const reason = 'RestoreFailed';
      await cluster().target(restores, 'gone', { state: 'Failed', reason, message: 'criu' });
      await cluster().until(restores, 'gone', { ...ended('Failed'), ...failed(reason) });
      expect(await cluster().pod('gone')).toBeUndefined();
    });

    it.each([
      ['no checkpoint', 'nothing', {}, 'CheckpointNotFound'],
      ['a failed one', 'unsound', {}, 'CheckpointNotReady'],
      ['a name that is taken', 'twin', { podName: 'twin' }, 'PodNameTaken'],
    ])('refuse %s', async (_name, from, spec, reason) => {
      const name = `bad-${reason.toLowerCase()}`;
      const { metadata } = await cluster().restore(name, from, spec);
      await cluster().until(restores, name, { ...ended('Failed'), ...failed(reason) });
      await eventually(() => cluster().events(metadata.uid)).toContain(`Warning ${reason}`);
    });
  });
}
