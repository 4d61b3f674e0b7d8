// SPDX-License-Identifier: Apache-2.0
// What the API server refuses by the CustomResourceDefinitions alone, and how the first decision stands.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../crds/src/index.ts';
import type { Client } from '../src/client.ts';
import { proposeDecision } from '../src/decision.ts';
import { checkpointRequests, migrationRequests, restoreRequests } from '../src/resource.ts';

/** What the suites share: a server that may have been restarted, and requests of unused names. */
export interface Fixture {
  readonly client: Client;
  make(spec?: object): Promise<MigrationRequest>;
  merge(name: string, patch: object, subresource?: 'status'): Promise<MigrationRequest>;
  get(name: string): Promise<MigrationRequest>;
}

export function definitionsSuite(f: Fixture): void {
  describe('the definitions', () => {
    it('fill in defaults', async () => {
      expect((await f.make()).spec).toEqual({
        podName: 'victim',
        cancel: false,
        dryRun: false,
        onSourceLoss: 'Fail',
        timeouts: { prepareSeconds: 300, blackoutSeconds: 100 },
      });
    });

    it.each([
      ['no podName', { podName: undefined }, 'spec.podName: Required value'],
      ['a podName that is no name', { podName: 'A b' }, 'spec.podName: Invalid value'],
      [
        'a blackout longer than the kubelet’s start timeout',
        { timeouts: { blackoutSeconds: 111 } },
        '110',
      ],
      ...['hold', 'freeze', 'dump', 'transfer', 'restore'].map((step): [string, object, string] => [
        `a step longer than the blackout: ${step}`,
        { timeouts: { blackoutSeconds: 50, [`${step}Seconds`]: 51 } },
        `timeouts.${step}Seconds must not exceed timeouts.blackoutSeconds`,
      ]),
      ['a way out that there is not', { onSourceLoss: 'Panic' }, 'onSourceLoss'],
    ])('refuse %s', async (_name, spec, message) => {
      await expect(f.make(spec)).rejects.toThrow(message);
    });

    it.each([
      ['another pod', { podName: 'other' }, 'podName is immutable'],
      ['a target node added', { targetNodeName: 'node-2' }, 'targetNodeName is immutable'],
      ['an expiry added', { ttlSecondsAfterFinished: 7 }, 'ttlSecondsAfterFinished is immutable'],
      ['other timeouts', { timeouts: { prepareSeconds: 7 } }, 'timeouts are immutable'],
      ['a limit added', { timeouts: { dumpSeconds: 7 } }, 'timeouts are immutable'],
      ['connections to be reset', { podIPConnections: 'Reset' }, 'podIPConnections is immutable'],
      ['another way out', { onSourceLoss: 'RestoreNewestCheckpoint' }, 'onSourceLoss is immutable'],
    ])('refuse an edit: %s', async (_name, spec, message) => {
      const { metadata } = await f.make();
      await expect(f.merge(metadata.name, { spec })).rejects.toThrow(message);
    });

    it('let cancel be set, not unset', async () => {
      const { metadata } = await f.make({ targetNodeName: 'node-2' });
      expect((await f.merge(metadata.name, { spec: { cancel: true } })).spec.cancel).toBe(true);
      await expect(f.merge(metadata.name, { spec: { cancel: false } })).rejects.toThrow(
        'cancel cannot be unset',
      );
      await expect(f.merge(metadata.name, { spec: { cancel: null } })).rejects.toThrow(
        'cancel cannot be unset',
      );
    });

    it('keep the other kinds’ specs as they are', async () => {
      await f.client.create(checkpointRequests, 'default', {
        metadata: { name: 'c' },
        spec: { podName: 'p' },
      });
      await f.client.create(restoreRequests, 'default', {
        metadata: { name: 'r' },
        spec: { checkpointName: 'c' },
      });
      await expect(
        f.client.merge(checkpointRequests, 'default', 'c', { spec: { podName: 'q' } }),
      ).rejects.toThrow('spec is immutable');
      await expect(
        f.client.merge(restoreRequests, 'default', 'r', { spec: { checkpointName: 'd' } }),
      ).rejects.toThrow('spec is immutable');
    });

    it('keep a pod template as it is', async () => {
      const podTemplate = {
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'x', any: [1] }] },
      };
      await f.client.merge(
        checkpointRequests,
        'default',
        'c',
        { status: { podTemplate } },
        { subresource: 'status' },
      );
      const read = await f.client.get(checkpointRequests, 'default', 'c');
      expect(read.status?.podTemplate).toEqual(podTemplate);
    });

    it('select requests by node', async () => {
      const { metadata } = await f.make();
      await f.merge(metadata.name, { status: { source: { nodeName: 'node-7' } } }, 'status');
      const { items } = await f.client.list(migrationRequests, {
        fieldSelector: 'status.source.nodeName=node-7',
      });
      expect(items.map((item) => migrationRequests.parse(item).metadata.name)).toEqual([
        metadata.name,
      ]);
    });

    it('let a step take as long as the blackout, and a blackout be shorter than the defaults', async () => {
      const timeouts = { blackoutSeconds: 2, dumpSeconds: 2 };
      expect((await f.make({ timeouts })).spec.timeouts).toMatchObject(timeouts);
    });

    it('refuse a restore’s step that is longer than its blackout', async () => {
      const timeouts = { blackoutSeconds: 20, restoreSeconds: 21 };
      const made = f.client.create(restoreRequests, 'default', {
        metadata: { generateName: 'r-' },
        spec: { checkpointName: 'c', timeouts },
      });
      await expect(made).rejects.toThrow('timeouts.restoreSeconds must not exceed');
    });

    it.each([
      ['an address without a network', [{ ips: ['10.0.0.1'] }], 'network: Required'],
      ['a network without an address', [{ network: 'a', ips: [] }], 'at least 1'],
      ['a network that is no name', [{ network: 'a/b/c', ips: ['10.0.0.1'] }], 'network'],
      ['a MAC that is none', [{ network: 'a', ips: ['10.0.0.1'], mac: '02' }], 'mac'],
    ])('refuse %s', async (_name, addresses, message) => {
      const made = f.client.create(restoreRequests, 'default', {
        metadata: { generateName: 'r-' },
        spec: { checkpointName: 'c', addresses },
      });
      await expect(made).rejects.toThrow(message);
    });
  });
}

export function decisionSuite(f: Fixture): void {
  describe('the decision', () => {
    const committed = { outcome: 'Committed', by: 'agent/b', reason: 'Committed' } as const;
    const aborted = { outcome: 'Aborted', by: 'operator', reason: 'Cancelled' } as const;

    /** A request whose target's agent may commit. */
    async function gated(): Promise<MigrationRequest> {
      const { metadata } = await f.make();
      const status = {
        target: { nodeName: 'b' },
        deadlines: { blackout: '2026-01-01T00:00:00Z' },
      };
      return f.merge(metadata.name, { status }, 'status');
    }

    it('is the first writer’s', async () => {
      const request = await gated();
      const first = await proposeDecision(f.client, migrationRequests, request, committed);
      expect(first).toMatchObject(committed);
      expect(await proposeDecision(f.client, migrationRequests, request, aborted)).toEqual(first);
      expect((await f.get(request.metadata.name)).status?.decision).toEqual(first);
    });

    it('is one, however many writers race', async () => {
      for (let round = 0; round < 10; round++) {
        const request = await gated();
        const all = await Promise.all(
          Array.from({ length: 6 }, (_, i) =>
            proposeDecision(
              f.client,
              migrationRequests,
              request,
              i % 2 ? committed : { ...aborted, by: `o${i}` },
            ),
          ),
        );
        const { status } = await f.get(request.metadata.name);
        for (const one of all) expect(one).toEqual(status?.decision);
      }
    });

    it.each([
      ['changed', { status: { decision: { outcome: 'Aborted' } } }],
      ['changed in its reason', { status: { decision: { reason: 'Other' } } }],
      ['removed', { status: { decision: null } }],
      ['removed with the whole status', { status: null }],
    ])('cannot be %s', async (_name, patch) => {
      const request = await gated();
      const first = await proposeDecision(f.client, migrationRequests, request, committed);
      await expect(f.merge(request.metadata.name, patch, 'status')).rejects.toThrow(
        'status.decision is written once and never changed',
      );
      expect((await f.get(request.metadata.name)).status?.decision).toEqual(first);
    });

    it('outlives an edit of the spec', async () => {
      const request = await gated();
      await proposeDecision(f.client, migrationRequests, request, committed);
      const after = await f.merge(request.metadata.name, { spec: { cancel: true }, status: null });
      expect(after.status?.decision).toMatchObject(committed);
    });

    it.each([
      ['another node’s agent', { target: { nodeName: 'a' } }],
      ['any writer before there is a target', { target: null }],
      ['any writer before the target was at its gate', { deadlines: null }],
    ])('is not Committed by %s', async (_name, status) => {
      const { metadata } = await gated();
      const request = await f.merge(metadata.name, { status }, 'status');
      await expect(
        proposeDecision(f.client, migrationRequests, request, committed),
      ).rejects.toThrow('only the agent of status.target.nodeName commits');
      expect(await proposeDecision(f.client, migrationRequests, request, aborted)).toMatchObject(
        aborted,
      );
    });

    it('of a RestoreRequest is Committed by its target’s agent only', async () => {
      const made = restoreRequests.parse(
        await f.client.create(restoreRequests, 'default', {
          metadata: { generateName: 'r-' },
          spec: { checkpointName: 'c' },
        }),
      );
      await expect(proposeDecision(f.client, restoreRequests, made, committed)).rejects.toThrow(
        'only the agent of status.target.nodeName commits',
      );
      const request = await f.client.merge(
        restoreRequests,
        'default',
        made.metadata.name,
        { status: { target: { nodeName: 'b' } } },
        { subresource: 'status' },
      );
      expect(await proposeDecision(f.client, restoreRequests, request, committed)).toMatchObject(
        committed,
      );
    });

    it('is not written to another request of the same name', async () => {
      const request = await gated();
      await f.client.delete(migrationRequests, 'default', request.metadata.name);
      await f.client.create(migrationRequests, 'default', {
        metadata: { name: request.metadata.name },
        spec: { podName: 'victim' },
      });
      await expect(
        proposeDecision(f.client, migrationRequests, request, committed),
      ).rejects.toMatchObject({
        code: 'RequestReplaced',
      });
      expect((await f.get(request.metadata.name)).status?.decision).toBeUndefined();
    });
  });
}
