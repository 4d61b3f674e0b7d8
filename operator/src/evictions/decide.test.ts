// SPDX-License-Identifier: Apache-2.0
// What an eviction is answered.
import { describe, expect, it } from 'vitest';
import {
  annotations,
  evacuationName,
  MigrationPolicy,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { at, migration, pod, succeeded, type PodParts } from '../../testing/objects.ts';
import { decideAtOnce, decideEviction, type Candidate, type Eviction } from './decide.ts';
import { wishFor } from './wish.ts';

const eviction: Eviction = {
  namespace: 'default',
  podName: 'p',
  podUid: undefined,
  isDryRun: false,
};
const asked = (value = 'migrate'): PodParts => ({
  metadata: { annotations: { [annotations.eviction]: value } },
});
const serving: PodParts = { status: { conditions: [{ type: 'Ready', status: 'True' }] } };
const policy = (spec: object): MigrationPolicy =>
  MigrationPolicy.parse({ metadata: { name: 'pol' }, spec });
const migrates = (unmovable = 'Keep') => policy({ eviction: { action: 'Migrate', unmovable } });
const seen = (
  of: Pod,
  policies: MigrationPolicy[] = [],
  more: Partial<Candidate> = {},
): Candidate => ({
  ...{ pod: of, wish: wishFor(of, { labels: {} }, policies) },
  ...{ requests: [], checkpoints: [], budgets: [] },
  ...more,
});
/** The request that an earlier eviction has made. */
const made = (...conditions: object[]): MigrationRequest =>
  migration({
    metadata: { name: evacuationName('pod-uid') },
    spec: { ttlSecondsAfterFinished: 600 },
    status: { phase: 'Failed', completionTime: at(0), conditions },
  });
const dryRunOf = (request: MigrationRequest): MigrationRequest => ({
  ...request,
  spec: { ...request.spec, dryRun: true },
});
const failed = (reason: string) => made({ ...succeeded('False', reason), message: 'So it is.' });
const message = (of: Candidate, by = eviction): string => {
  const answer = decideEviction(by, of);
  return 'message' in answer ? answer.message : (answer.warning ?? '');
};

describe('an eviction that is none of Sealift’s business', () => {
  it.each<[string, Pod | undefined, Partial<Eviction>]>([
    ['of no pod', undefined, {}],
    ['of another pod of that name', pod(asked()), { podUid: 'other' }],
    ['of another runtime', pod({ ...asked(), spec: { runtimeClassName: 'runc' } }), {}],
    ['of a pod that does not run yet', pod({ ...asked(), status: { phase: 'Pending' } }), {}],
    ['of a pod that has ended', pod({ ...asked(), status: { phase: 'Succeeded' } }), {}],
    ['of a pod that is being deleted', pod({ metadata: { deletionTimestamp: at(0) } }), {}],
  ])('%s is allowed', (_name, of, more) => {
    expect(decideAtOnce({ ...eviction, ...more }, of)?.verdict).toBe('Allow');
  });

  it('warns of an annotation that has no effect', () => {
    const answer = decideAtOnce(eviction, pod({ ...asked(), spec: { runtimeClassName: null } }));
    expect(answer).toMatchObject({
      warning: expect.stringMatching(/does not run in Sealift's/) as string,
    });
  });

  it('needs more to be known of a running pod of Sealift’s', () => {
    expect(decideAtOnce({ ...eviction, podUid: 'pod-uid' }, pod())).toBeUndefined();
  });
});

describe('a wish', () => {
  const none = policy({});
  it.each<[string, PodParts, MigrationPolicy[], boolean]>([
    ['by nobody', {}, [], false],
    ['by the annotation', asked(), [], true],
    ['by the annotation, whatever the policy says', asked(), [none], true],
    ['by a policy', {}, [migrates()], true],
    ['not by a policy that says nothing of evictions', {}, [none], false],
    ['not by a policy against the annotation', asked('evict'), [migrates()], false],
    ['by a policy beside an annotation that says nothing', asked('later'), [migrates()], true],
    ['by a policy that empties cordoned nodes', {}, [policy({ nodes: { cordoned: true } })], true],
  ])('%s', (_name, parts, policies, moves) => {
    expect(wishFor(pod(parts), { labels: {} }, policies).moves).toBe(moves);
  });
});

it('a request that an eviction makes is there when the next eviction comes', () => {
  const hasty = policy({ eviction: { action: 'Migrate' }, ttlSecondsAfterFinished: 0 });
  expect(wishFor(pod(), { labels: {} }, [hasty]).ttlSeconds).toBe(60);
});

describe('an eviction of a pod of Sealift’s', () => {
  it.each<[string, Candidate, string]>([
    ['that nobody wants to be moved', seen(pod()), 'Allow'],
    ['that asks to be moved', seen(pod(asked())), 'Move'],
    ['that a policy selects', seen(pod(), [migrates()]), 'Move'],
    [
      'that arrives',
      seen(pod({ metadata: { annotations: { [annotations.migration]: 'default/m' } } }), [
        migrates(),
      ]),
      'Refuse',
    ],
    ['that is being moved', seen(pod(asked()), [], { requests: [migration()] }), 'Refuse'],
    ['that a user moves', seen(pod(), [], { requests: [migration()] }), 'Refuse'],
    [
      'that is moved though its eviction is wanted',
      seen(pod(asked('evict')), [], { requests: [migration()] }),
      'Refuse',
    ],
    [
      'that a finished dry run of that name looked at',
      seen(pod(asked()), [], {
        requests: [dryRunOf(made(succeeded('True', 'Movable')))],
      }),
      'Move',
    ],
    [
      'that a dry run looks at',
      seen(pod(asked()), [], { requests: [migration({ spec: { dryRun: true } })] }),
      'Move',
    ],
    [
      'whose request of a user has failed',
      seen(pod(asked()), [], {
        requests: [migration({ status: { conditions: [succeeded('False', 'X')] } })],
      }),
      'Move',
    ],
    ['that could not be moved', seen(pod(asked()), [], { requests: [failed('X')] }), 'Refuse'],
    ['that could not, Keep', seen(pod(), [migrates()], { requests: [failed('X')] }), 'Refuse'],
    [
      'that could not, Evict',
      seen(pod(), [migrates('Evict')], { requests: [failed('X')] }),
      'Allow',
    ],
    [
      'whose move was cancelled, Evict',
      seen(pod(), [migrates('Evict')], { requests: [failed('Cancelled')] }),
      'Refuse',
    ],
    [
      'that another request worked on, Evict',
      seen(pod(), [migrates('Evict')], { requests: [failed('AnotherMigration')] }),
      'Refuse',
    ],
    [
      'that has moved, and whose old copy is still there',
      seen(pod(asked()), [], { requests: [made(succeeded('True', 'Moved'))] }),
      'Allow',
    ],
    [
      'that a checkpoint is taken of',
      seen(pod(asked()), [], { checkpoints: [{ metadata: { name: 'c' } }] }),
      'Refuse',
    ],
    [
      'whose budget allows it',
      seen(pod(asked()), [], {
        budgets: [{ name: 'b', allowed: 2, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Move',
    ],
    [
      'whose budget forbids it',
      seen(pod(asked()), [], {
        budgets: [{ name: 'b', allowed: 0, moves: 0, disrupting: 0, evicting: 0 }],
      }),
      'Refuse',
    ],
    [
      'whose budget is used up by other moves',
      seen(pod(asked()), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Refuse',
    ],
    [
      'one of whose two budgets forbids it',
      seen(pod(asked()), [], {
        budgets: [
          { name: 'a', allowed: 9, moves: 0, disrupting: 0, evicting: 0 },
          { name: 'b', allowed: 0, moves: 0, disrupting: 0, evicting: 0 },
        ],
      }),
      'Refuse',
    ],
    [
      'that nobody wants to be moved, while a pod of its budget moves',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Refuse',
    ],
    [
      'that nobody wants to be moved, whose budget allows one more',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 2, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Allow',
    ],
    [
      'that nobody wants to be moved, while pods of its budget move and are evicted',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 2, moves: 1, disrupting: 1, evicting: 1 }],
      }),
      'Refuse',
    ],
    [
      'that nobody wants to be moved, while no pod of its budget moves: the API server counts evictions',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 0, disrupting: 0, evicting: 1 }],
      }),
      'Allow',
    ],
    [
      'that asks to be moved, while a pod of its budget is evicted',
      seen(pod(asked()), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 0, disrupting: 0, evicting: 1 }],
      }),
      'Refuse',
    ],
    [
      'that nobody wants to be moved, whose budget the API server itself asks',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 0, moves: 0, disrupting: 0, evicting: 0 }],
      }),
      'Allow',
    ],
    [
      'that nobody wants to be moved, while moves of its budget wait and disturb no pod',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 2, disrupting: 0, evicting: 0 }],
      }),
      'Allow',
    ],
    [
      'that nobody wants to be moved, while some of its budget’s moves wait',
      seen(pod(serving), [], {
        budgets: [{ name: 'b', allowed: 2, moves: 3, disrupting: 1, evicting: 0 }],
      }),
      'Allow',
    ],
    [
      'that is to be moved, while moves of its budget wait',
      seen(pod(asked()), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 0, evicting: 0 }],
      }),
      'Refuse',
    ],
    [
      'that serves nobody, while a pod of its budget moves',
      seen(pod(), [], {
        budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Allow',
    ],
    [
      'that could not be moved, Evict, while a pod of its budget moves',
      seen(pod(serving), [migrates('Evict')], {
        requests: [failed('X')],
        budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 1, evicting: 0 }],
      }),
      'Refuse',
    ],
  ])('%s', (_name, of, verdict) => {
    expect(decideEviction(eviction, of).verdict).toBe(verdict);
  });

  it('says what goes on, and what to do', () => {
    const active = migration({
      metadata: { name: 'm' },
      status: {
        phase: 'Restoring',
        conditions: [{ ...succeeded('Unknown', 'Y'), message: 'Soon.' }],
      },
    });
    expect(message(seen(pod(asked()), [], { requests: [active] }))).toBe(
      'Pod p is being moved by MigrationRequest default/m (Restoring). Soon.',
    );
    expect(message(seen(pod(asked()), [], { requests: [failed('X')] }))).toMatch(
      /is kept\. .*evict-pod-uid has failed \(X\): So it is\. .* at 2026-03-04T05:16:07\.000Z, or as soon/,
    );
    expect(
      message(
        seen(pod(asked()), [], {
          budgets: [{ name: 'b', allowed: 1, moves: 1, disrupting: 1, evicting: 0 }],
        }),
      ),
    ).toMatch(
      /^Cannot evict pod as it would violate the pod's disruption budget\. .*1 of its pods/,
    );
  });

  it('that is a dry run makes nothing, and is refused only where the pod would be kept', () => {
    const dry = { ...eviction, isDryRun: true };
    expect(decideEviction(dry, seen(pod(asked()))).verdict).toBe('Allow');
    expect(message(seen(pod(asked())), dry)).toMatch(/would be moved/);
    const moving = seen(pod(asked()), [], { requests: [migration()] });
    expect(decideEviction(dry, moving).verdict).toBe('Allow');
    const kept = seen(pod(asked()), [], { requests: [failed('X')] });
    expect(decideEviction(dry, kept).verdict).toBe('Refuse');
  });
});
