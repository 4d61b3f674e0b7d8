// SPDX-License-Identifier: Apache-2.0
// Schedules that have found a fault of the product, which is mended since. `simulation.test.ts` runs each again.
import type { Schedule } from './schedule.ts';

export interface Regression {
  /** What went wrong. */
  readonly found: string;
  readonly schedule: Schedule;
  /** What it ends in now. Each of its faults strikes. */
  readonly decision: string;
  /** Whether the fault strikes depends on what is chosen by the seed: the first one from the schedule's with which it does is run. */
  readonly strikesWithSomeSeeds?: true;
}

export const regressions: readonly Regression[] = [
  {
    found:
      'a pod whose restore was given up after Committed was started anew in a sandbox that stayed locked',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      faults: [
        {
          when: { point: 'operator.allow-traffic.before', nth: 1 },
          what: { do: 'reset', who: 'target' },
          forMs: 1,
        },
      ],
    },
  },
  {
    found: 'an agent repeated the transfer every few milliseconds while the other agent was away',
    // Images are sent only if the pod is restored on the node that has not its own.
    strikesWithSomeSeeds: true,
    decision: 'restore Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'checkpoint',
      faults: [
        {
          when: { point: 'images.send.before', nth: 1 },
          what: { do: 'crash', who: 'target' },
          forMs: 40_000,
        },
      ],
    },
  },
  {
    found: 'images of a target that was lost after Committed stayed until the request was deleted',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      faults: [
        {
          when: { point: 'target.show.before', nth: 1 },
          what: { do: 'crash', who: 'target' },
          forMs: 109_997,
        },
      ],
    },
  },
  {
    found: "a source's images stayed when its agent died between its last status and removing them",
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      faults: [
        {
          when: { point: 'source.clean.before', nth: 1 },
          what: { do: 'crash', who: 'source' },
          forMs: 40_000,
        },
        {
          when: { point: 'api.decision', nth: 1 },
          what: { do: 'crash', who: 'operator' },
          forMs: 40_000,
        },
      ],
    },
  },
  {
    found:
      'a target whose start the kubelet had given up, before the paused agent saw Committed, was lost instead of restored again',
    decision: 'Committed Committed',
    schedule: {
      seed: 1,
      scenario: 'move',
      faults: [
        {
          when: { point: 'api.decision', nth: 1 },
          what: { do: 'pause', who: 'target' },
          forMs: 121_154,
        },
      ],
    },
  },
  {
    found: 'a target was lost when its agent was paused between observing the gate and opening it',
    decision: 'Committed Committed',
    schedule: {
      seed: 992491864,
      scenario: 'move',
      faults: [
        { when: { step: 174 }, what: { do: 'pause', who: 'target' }, forMs: 75_092 },
        { when: { step: 397 }, what: { do: 'pause', who: 'target' }, forMs: 44_434 },
        { when: { step: 359 }, what: { do: 'touch' }, forMs: 3000 },
      ],
    },
  },
  {
    found: 'a pod was resumed in the moment in which the kubelet gave up its start, and was lost',
    decision: 'Aborted BlackoutDeadlineExceeded',
    schedule: {
      seed: 0,
      scenario: 'move',
      containers: 2,
      faults: [
        {
          when: { point: 'target.decide.before', nth: 1 },
          what: { do: 'pause', who: 'target' },
          forMs: 119_582,
        },
      ],
    },
  },
  {
    found:
      'an agent whose cache was older than its own decision took a container that was created again for a failure',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      containers: 1,
      faults: [
        {
          when: { point: 'target.hold.before', nth: 1 },
          what: { do: 'breakWatch', who: 'target' },
          forMs: 1,
        },
        { when: { step: 62 }, what: { do: 'crash', who: 'operator' }, forMs: 99_192 },
      ],
    },
  },
  {
    found:
      'a restarted agent began a checkpoint whose request had failed, and thawed the pod that a move had frozen',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'recover',
      faults: [
        { when: { step: 0 }, what: { do: 'reset', who: 'source' }, forMs: 3000 },
        { when: { step: 81 }, what: { do: 'crash', who: 'source' }, forMs: 7 },
      ],
    },
  },
  {
    found:
      'a committed target never resumed when a container was restored again long after the other had started',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      containers: 2,
      faults: [
        {
          when: { point: 'target.decide.after', nth: 1 },
          what: { do: 'killContainer' },
          forMs: 1,
        },
        {
          when: { point: 'operator.delete-source.before', nth: 1 },
          what: { do: 'stopApi' },
          forMs: 71_088,
        },
      ],
    },
  },
  {
    found:
      'images of a committed target that was deleted before it ran stayed, because its namespace was gone',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'return',
      containers: 2,
      faults: [
        {
          when: { point: 'source.clean.before', nth: 1 },
          what: { do: 'deleteTarget' },
          forMs: 3000,
        },
        { when: { step: 0 }, what: { do: 'crash', who: 'operator' }, forMs: 40_000 },
      ],
    },
  },
  {
    found:
      'the monitor took a target that had waited for its source for one that had not, since its tasks are thawed last',
    decision: 'Committed Committed',
    schedule: {
      seed: 0,
      scenario: 'move',
      containers: 1,
      faults: [
        {
          when: { point: 'target.decide.before', nth: 1 },
          what: { do: 'crash', who: 'source' },
          forMs: 40_000,
        },
        {
          when: { point: 'target.unlock.before', nth: 1 },
          what: { do: 'reset', who: 'target' },
          forMs: 3000,
        },
      ],
    },
  },
  {
    found: 'a move that was cancelled in a long dump held limited peers until the dump had ended',
    decision: 'Aborted Cancelled',
    schedule: {
      seed: 1,
      scenario: 'retryLimit',
      dumpMs: 20_000,
      faults: [{ when: { point: 'source.dump.before', nth: 1 }, what: { do: 'cancel' }, forMs: 1 }],
    },
  },
  {
    found:
      'a checkpoint that was deleted in a long dump kept its pod frozen until the dump had ended',
    decision: 'restore not begun',
    schedule: {
      seed: 1,
      scenario: 'checkpoint',
      dumpMs: 50_000,
      faults: [
        {
          when: { point: 'source.dump.before', nth: 1 },
          what: { do: 'deleteRequest' },
          forMs: 1,
        },
      ],
    },
  },
  {
    found:
      'a pod whose only container ended while it was held stayed locked: its namespace was known by the PID of a task',
    decision: 'Aborted SourceLost',
    schedule: {
      seed: 1,
      scenario: 'move',
      containers: 1,
      faults: [
        {
          when: { point: 'source.hold.after', nth: 1 },
          what: { do: 'killApplication' },
          forMs: 1,
        },
      ],
    },
  },
];
