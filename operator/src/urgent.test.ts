// SPDX-License-Identifier: Apache-2.0
// Which requests wait for no others.
import { describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../crds/src/index.ts';
import { Controller, silent } from '../../kube/src/index.ts';
import { accepted, migration, succeeded } from '../testing/objects.ts';
import { isUnderWay } from './operator.ts';

const queued = migration({
  status: { queue: { position: 7, waitsFor: 'Cluster', sourceNodeName: 'a' } },
});
const finished = accepted({ conditions: [succeeded('True', 'Moved')] });

describe('a request', () => {
  it.each<[string, MigrationRequest | undefined, boolean]>([
    ['that is new', migration(), false],
    ['that waits in the queue', queued, false],
    ['that is under way', accepted(), true],
    ['that has ended', finished, false],
    ['that is gone', undefined, false],
  ])('%s is under way: %s', (_name, request, expected) => {
    expect(isUnderWay(request)).toBe(expected);
  });

  it('under way is looked at while hundreds are new', async () => {
    const requests = new Map<string, MigrationRequest>([['moves', accepted()]]);
    const looked = Promise.withResolvers<void>();
    const stop = new AbortController();
    const answers = Promise.withResolvers<void>();
    const controller = new Controller({
      name: 'migration',
      log: silent,
      isUrgent: (key) => isUnderWay(requests.get(key)),
      reconcile: async (key) => {
        if (key === 'moves') return looked.resolve();
        await answers.promise;
      },
    });
    for (let at = 0; at < 500; at++) {
      requests.set(`new-${at}`, migration());
      controller.enqueue(`new-${at}`);
    }
    controller.enqueue('moves');
    const running = controller.run(stop.signal);
    await looked.promise;
    answers.resolve();
    stop.abort();
    await running;
    expect(controller.running).toBe(0);
  });
});
