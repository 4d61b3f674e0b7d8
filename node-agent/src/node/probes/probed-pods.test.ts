// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { stage, type Entry, type Stage } from '../../support/journal/journal.ts';
import { probedPods } from './probed-pods.ts';

const probes = { addresses: ['10.1.0.2'], ports: [80], userAgents: [] };
const entry = (of: Partial<Entry>): Entry => ({
  version: 1,
  id: 'u',
  role: 'source',
  kind: 'MigrationRequest',
  namespace: 'default',
  name: 'move',
  pod: 'app',
  podUid: 'p',
  stage: 'Locking',
  containers: [],
  steps: [],
  ...of,
});

describe('the pods whose probes the agent answers', () => {
  it('are those of every stage until the request is over', () => {
    const over: Stage[] = ['Stored', 'Running', 'Resumed', 'Lost', 'Gone', 'TornDown'];
    for (const one of stage.options) {
      const found = probedPods([entry({ stage: one, probes, netns: '/run/netns/x' })]);
      expect(found).toEqual(over.includes(one) ? [] : [{ ...probes, netns: '/run/netns/x' }]);
    }
  });

  it('are none without probes', () => {
    expect(probedPods([entry({})])).toEqual([]);
  });
});
