// SPDX-License-Identifier: Apache-2.0
// What is read of a source's controller. Its finalizers are those that the API server writes for `kubectl delete --cascade`.
import { describe, expect, it } from 'vitest';
import { labels } from '../../../crds/src/index.ts';
import type { Resource } from '../../../kube/src/index.ts';
import { at, pod } from '../../testing/objects.ts';
import { readController } from './controller-calls.ts';

type Json = Record<string, unknown>;

const uid = 'set-uid';
const owned = { ownerReferences: [{ uid }] };
const member = pod({ metadata: { labels: { [labels.revision]: 'set-1' } } });
const versions = { StatefulSet: 'apps/v1', ReplicaSet: 'apps/v1', Job: 'batch/v1' } as const;
type Kind = keyof typeof versions;

/** An API server with a controller and, of a StatefulSet, the revision of the pod. */
function state(
  kind: Kind,
  controller: Json | undefined,
  revision?: Json,
  members = [member],
): Promise<string | undefined> {
  const stored: Readonly<Record<string, Json | undefined>> = {
    [kind]: controller,
    ControllerRevision: revision,
  };
  const find = async <T>({ kind: wanted }: Resource<T>): Promise<T | undefined> => {
    const metadata = stored[wanted];
    return metadata && ({ metadata } as T);
  };
  const { signal } = new AbortController();
  const asked = { apiVersion: versions[kind], kind, name: 'set', uid, handover: 'ByName' } as const;
  return readController({ find }, 'default', asked, members, signal);
}

const dying = (...finalizers: string[]): Json => ({
  ...{ uid, creationTimestamp: at(-100), deletionTimestamp: at(0), finalizers },
});
const old = at(-90);

describe('a StatefulSet that is being deleted', () => {
  it.each<[string, string, string[], Json | undefined]>([
    ['is about to leave its pods', 'orphaning', ['orphan'], { creationTimestamp: old, ...owned }],
    ['takes its pods first', 'deleted', ['foregroundDeletion'], { ...owned }],
    ['takes them first, though others hold it, too', 'deleted', ['foregroundDeletion', 'x/y'], {}],
    ['has left them, and others hold it', 'orphaning', ['x/y'], { creationTimestamp: old }],
    [
      'has left them, and so has a set that another revision belongs to',
      'orphaning',
      ['x/y'],
      { creationTimestamp: old, ownerReferences: [{ uid: 'other' }] },
    ],
    ['has not touched them yet', 'active', ['x/y'], { creationTimestamp: old, ...owned }],
    ['has taken them, and others hold it', 'deleted', ['x/y'], undefined],
    ['takes them, and others hold it', 'deleted', ['x/y'], { deletionTimestamp: at(0) }],
  ])('%s: %s', async (_name, expected, finalizers, revision) => {
    expect(await state('StatefulSet', dying(...finalizers), revision)).toBe(expected);
  });

  it('is not known to take a pod that has no revision', async () => {
    expect(await state('StatefulSet', dying('x/y'), undefined, [pod()])).toBe('gone');
  });
});

describe('a controller without revisions', () => {
  it.each<[Kind, string, string[]]>([
    ['ReplicaSet', 'orphaning', ['orphan', 'x/y']],
    ['ReplicaSet', 'deleted', ['foregroundDeletion', 'x/y']],
    ['ReplicaSet', 'gone', ['x/y']],
    ['Job', 'gone', ['x/y']],
    ['Job', 'deleted', ['foregroundDeletion']],
  ])('%s that is being deleted is %s with finalizers %j', async (kind, expected, finalizers) => {
    expect(await state(kind, dying(...finalizers))).toBe(expected);
  });

  it.each<[string, Json | undefined]>([
    ['active', { uid }],
    ['gone', undefined],
    ['gone', { uid: 'another' }],
  ])('is %s when the API server has %j', async (expected, controller) => {
    expect(await state('Job', controller)).toBe(expected);
  });
});
