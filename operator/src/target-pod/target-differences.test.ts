// SPDX-License-Identifier: Apache-2.0
// What a webhook may do to a target, and what of that keeps its source from being touched.
import { describe, expect, it } from 'vitest';
import { summary, see } from '../../testing/migration.ts';
import { accepted, at, pod, NOW, target } from '../../testing/objects.ts';
import { decideMigration } from '../migration/decide.ts';
import { refuseOtherTarget, wantedOf } from './target-differences.ts';
import { targetPod, templateOf } from './manifest.ts';

type Json = Record<string, unknown>;
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const mount = (mountPath: string): Json => ({ name: 'v', mountPath });
const sidecar = { name: 'proxy', image: 'proxy:2', restartPolicy: 'Always' };
const main = { name: 'main', image: 'app:v1', volumeMounts: [mount('/data/'), mount('/tmp')] };
/** Its init container has run. */
const spec = { initContainers: [{ name: 'setup' }, sidecar], containers: [main] };
const running = [
  { name: 'main', imageID: `docker.io/library/app@${digest('a')}` },
  { name: 'proxy', imageID: digest('c') },
];
const source = pod({ spec, status: { containerStatuses: running } });
const pinned = { ...main, image: `app:v1@${digest('a')}` };
const same = { initContainers: [sidecar], containers: [pinned] };

const difference = (changed: Json): string | undefined =>
  refuseOtherTarget(source, target('request-uid', { spec: { ...same, ...changed } }))?.message;
const withMain = (changed: Json): Json => ({ containers: [{ ...pinned, ...changed }] });

describe('a target', () => {
  it('is what the operator makes of its source', () => {
    const raw = { metadata: { ...source.metadata, name: 'p' }, spec, status: source.status };
    const options = {
      ...{ name: 'p-reque', namespace: 'default', nodeNames: ['b'], source: { names: ['a'] } },
      ...{ requestUid: 'request-uid', namespaceUid: 'n', networks: undefined, fabricIps: [] },
      marker: { key: 'migration', value: 'default/move' } as const,
    };
    const made = targetPod(templateOf(raw), options as never);
    const created = pod({
      metadata: made['metadata'] as Json,
      spec: { ...(made['spec'] as Json), runtimeClassName: 'sealift' },
    });
    expect(created.spec.containers[0]?.image).toBe(pinned.image);
    expect(refuseOtherTarget(source, created)).toBeUndefined();
  });

  it.each<[string, Json]>([
    ['a volume more', withMain({ volumeMounts: [...main.volumeMounts, mount('/token')] })],
    [
      'a mount path written in another way',
      withMain({ volumeMounts: [mount('//data'), mount('/tmp/.')] }),
    ],
    [
      'environment, arguments and resources',
      withMain({ env: [{ name: 'A' }], args: ['x'], resources: { limits: { memory: '1' } } }),
    ],
    ['the same image from a mirror', withMain({ image: `mirror.example.com/app@${digest('a')}` })],
    [
      'the same tag of a mirror’s image',
      withMain({ image: `mirror.example.com/app:v1@${digest('a')}` }),
    ],
    [
      'a tag where nothing was pinned',
      { initContainers: [{ ...sidecar, image: 'docker.io/library/proxy:2' }] },
    ],
    [
      'a digest where nothing was pinned',
      { initContainers: [{ ...sidecar, image: `proxy:2@${digest('b')}` }] },
    ],
    ['hostUsers that says the default', { hostUsers: true }],
    ['hostNetwork that says the default', { hostNetwork: false }],
  ])('may have %s', (_what, changed) => {
    expect(difference(changed)).toBeUndefined();
  });

  it.each<[string, Json, RegExp]>([
    [
      'an init container that has run',
      { initContainers: [sidecar, { name: 'setup' }] },
      /init container setup was added, but it has run/,
    ],
    [
      'an init container of a webhook',
      { initContainers: [{ name: 'otel-init' }, sidecar] },
      /init container otel-init was added, but the source has none/,
    ],
    [
      'a sidecar',
      { initContainers: [sidecar, { ...sidecar, name: 'mesh' }] },
      /sidecar mesh was added, and there are no images/,
    ],
    [
      'a sidecar that became an init container',
      { initContainers: [{ name: 'proxy' }] },
      /init container proxy was added/,
    ],
    [
      'a sidecar that became a container',
      { initContainers: [], containers: [pinned, { name: 'proxy' }] },
      /sidecar proxy was taken out/,
    ],
    ['a container', { containers: [pinned, { name: 'logs' }] }, /container logs was added/],
    ['a container less', { containers: [] }, /container main was taken out/],
    [
      'a debugger',
      { ephemeralContainers: [{ name: 'debugger-1' }] },
      /ephemeral container debugger-1/,
    ],
    [
      'another digest',
      withMain({ image: `app:v1@${digest('b')}` }),
      /container main has another image, app:v1@sha256:b/,
    ],
    [
      'another repository and no digest',
      { initContainers: [{ ...sidecar, image: 'mirror.example.com/proxy:2' }] },
      /sidecar proxy has another image/,
    ],
    [
      'another tag',
      { initContainers: [{ ...sidecar, image: 'proxy:3' }] },
      /another image, proxy:3/,
    ],
    [
      'a volume less',
      withMain({ volumeMounts: [mount('/data')] }),
      /container main has lost the volume mounted at \/tmp/,
    ],
    ['no volume at all', withMain({ volumeMounts: null }), /mounted at \/data/],
    [
      'privileges',
      withMain({ securityContext: { privileged: true } }),
      /container main was made privileged/,
    ],
    ['the network of its node', { hostNetwork: true }, /its hostNetwork was changed/],
    ['one PID namespace', { shareProcessNamespace: true }, /its shareProcessNamespace was changed/],
    ['a user namespace', { hostUsers: false }, /its hostUsers was changed/],
    [
      'another runtime',
      { runtimeClassName: 'gvisor' },
      /its runtimeClassName is gvisor, no longer sealift/,
    ],
    ['no runtime class', { runtimeClassName: null }, /its runtimeClassName is not set/],
  ])('may not have %s', (_what, changed, expected) => {
    const message = difference(changed);
    expect(message).toMatch(expected);
    expect(message).toMatch(/^The target pod p-reque .* label sealift\.dev\/role=target /);
  });

  it('is compared with what a checkpoint has kept', () => {
    const made = target('request-uid', { spec: { containers: [{ name: 'main' }, { name: 'x' }] } });
    const kept = { spec: { runtimeClassName: 'sealift', containers: [{ name: 'main' }] } };
    expect(refuseOtherTarget(wantedOf(kept), made)?.reason).toBe('TargetDiffers');
    expect(refuseOtherTarget(wantedOf({ spec: { containers: 'none' } }), made)).toBeUndefined();
    expect(refuseOtherTarget(wantedOf(undefined), made)).toBeUndefined();
  });
});

describe('a move whose target got an init container', () => {
  const injected = target('request-uid', { spec: { initContainers: [{ name: 'otel-init' }] } });
  const decide = (status: Json) => {
    const request = accepted({ targetAgent: { state: 'AtCreateGate' }, ...status });
    return decideMigration(see({ request, targetPod: injected }), NOW);
  };

  it('ends before its pause', () => {
    const plan = decide({});
    expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'TargetDiffers' }]);
    expect(summary(plan)).toBe('Unknown TargetDiffers');
    expect(plan.status?.deadlines).toEqual({ prepare: at(300) });
  });

  it('goes on where the pause has begun: the operator before this one did not compare', () => {
    expect(decide({ deadlines: { prepare: at(300), blackout: at(60) } }).effects).toEqual([]);
  });
});
