// SPDX-License-Identifier: Apache-2.0
// A target whose restore takes too long, or whose peers do not wait.
import { describe, expect, it } from 'vitest';
import { REQUEST_UID } from '../../testing/objects.ts';
import {
  ask,
  create,
  images,
  journal,
  node,
  pass,
  put,
  restartAgent,
  run,
  runs,
  state,
  status,
  toResumeGate,
} from '../../testing/target-agent.ts';

describe('a target', () => {
  it.each([true, false])('is cut when its restore hangs, before CRIU: %s', async (early) => {
    ask({ timeouts: { restoreSeconds: 1 } });
    put();
    const created = create();
    await images();
    node.hangs = early;
    await runs(early ? 4 : 1);
    // A former agent's limit holds.
    await restartAgent();
    if (!early) pass(1050);
    await runs();
    expect(await created).toMatch(early ? /gone|aborted/ : /restore/);
    expect(status()?.decision).toMatchObject({
      reason: 'RestoreDeadlineExceeded',
      message:
        'Step restore did not end within 1 s. Raise spec.timeouts.restoreSeconds if it needs longer.',
    });
    expect([state(), node.cut, node.ran]).toEqual(['TornDown', 1, 0]);
  });

  describe('whose peers have a retry limit', () => {
    const peers = { rnrRetry: 2, rnrTimer: 0, retryBudgetMs: 1310.72 };
    const reported = (peerBudgetMs: number) => ({
      peers,
      sourceAgent: { state: 'Sent', peerBudgetMs, peerDeadline: '2000-01-01T00:00:00Z' },
    });

    it('commits only once it knows the retry budget, by its own clock', async () => {
      put({ peers });
      await toResumeGate();
      put({ peers });
      await runs();
      expect([status()?.decision, state()]).toEqual([undefined, 'AtResumeGate']);
      put(reported(5000));
      await runs();
      expect([status()?.decision?.outcome, node.ran]).toEqual(['Committed', 1]);
    });

    it('does not commit after the peer deadline, also after a restart', async () => {
      put(reported(5000));
      await run();
      const noted = journal.get(REQUEST_UID, 'target')?.peerDeadline;
      expect(Date.parse(noted ?? '')).toBeLessThanOrEqual(Date.now() + 5000);
      pass(5001);
      await restartAgent();
      put(reported(5000));
      void create();
      await images();
      await runs();
      expect(journal.get(REQUEST_UID, 'target')?.peerDeadline).toBe(noted);
      expect(status()?.decision).toMatchObject({
        ...{ outcome: 'Aborted', reason: 'PeerRetryBudgetExceeded', by: 'agent/node-b' },
      });
      expect([state(), node.ran]).toEqual(['TornDown', 0]);
    });
  });
});
