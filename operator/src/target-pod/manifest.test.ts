// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import {
  rdmaDevice,
  targetName,
  targetPod,
  templateOf,
  type RawPod,
  type TargetOptions,
} from './manifest.ts';

const uid = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
const raw = (metadata: object = {}, spec: object = {}): RawPod => ({
  metadata: { name: 'p', namespace: 'ns', uid, ...metadata },
  spec: { containers: [{ name: 'main' }], nodeName: 'a', ...spec },
});
const options: TargetOptions = {
  name: 'p-00000',
  namespace: 'ns',
  nodeNames: ['b'],
  source: { name: 'a', hostname: 'host-a' },
  requestUid: 'request-uid',
  namespaceUid: 'ns-uid',
  marker: { key: 'migration', value: 'ns/move' },
  networks: undefined,
  fabricIps: [],
};
interface Made {
  metadata: {
    labels: object;
    annotations: Record<string, string>;
    ownerReferences: { kind: string; controller?: boolean }[];
  };
  spec: {
    affinity: { nodeAffinity: Record<string, { nodeSelectorTerms: object[] }> };
    [field: string]: unknown;
  };
}
const make = (source: RawPod, more: Partial<TargetOptions> = {}): Made =>
  targetPod(templateOf(source), { ...options, ...more }) as unknown as Made;
const terms = (made: Made): object[] =>
  made.spec.affinity.nodeAffinity['requiredDuringSchedulingIgnoredDuringExecution']
    ?.nodeSelectorTerms ?? [];
const named = (operator: string, ...values: string[]): object => ({
  ...{ key: 'metadata.name', operator, values },
});
const host = (operator: string, ...values: string[]): object => ({
  ...{ key: 'kubernetes.io/hostname', operator, values },
});
const onB = named('In', 'b');
const zone = { key: 'zone', operator: 'In', values: ['z'] };
const required = (...nodeSelectorTerms: object[]): object => ({
  requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms },
});
const pinnedTwice = [
  { matchExpressions: [host('In', 'host-a')] },
  { matchFields: [named('In', 'a')] },
];

describe('targetName', () => {
  const name = (pod: string, madeFor?: string): string => {
    const made = madeFor === undefined ? {} : { [annotations.requestUid]: madeFor };
    return targetName({ metadata: { name: pod, annotations: made } }, uid);
  };

  it('is the same for the same request, and stays short over many migrations', () => {
    expect(name('p')).toBe('p-0f1e2');
    expect(name('p-abcde')).toBe('p-abcde-0f1e2');
    expect(name('p-abcde', 'abcdef01-4b5a-6978-8796-a5b4c3d2e1f0')).toBe('p-0f1e2');
    expect(name(`${'x'.repeat(56)}.y`)).toBe(`${'x'.repeat(56)}-0f1e2`);
    expect(name('x'.repeat(200)).length).toBeLessThanOrEqual(63);
  });

  it('keeps an ending of the pod’s own that only looks like a request’s', () => {
    expect(name('db-00001', 'abcdef01-4b5a-6978-8796-a5b4c3d2e1f0')).toBe('db-00001-0f1e2');
  });
});

describe('the target', () => {
  it('keeps what the user asked for, without what admission or a node has added', () => {
    const made = make(
      raw(
        {},
        {
          priority: 5,
          priorityClassName: 'high',
          preemptionPolicy: 'Never',
          overhead: { cpu: '1' },
          initContainers: [{ name: 'i' }],
          ephemeralContainers: [{ name: 'e' }],
          volumes: [{ name: 'kube-api-access-x' }, { name: 'own' }],
          containers: [
            {
              name: 'main',
              image: 'i',
              volumeMounts: [{ name: 'kube-api-access-x' }, { name: 'own' }],
              lifecycle: { postStart: {}, preStop: { exec: {} } },
            },
          ],
        },
      ),
    );
    const { affinity: _affinity, ...spec } = made.spec;
    expect(spec).toEqual({
      priorityClassName: 'high',
      readinessGates: [{ conditionType: podConditions.committed }],
      hostname: 'p',
      volumes: [{ name: 'own' }],
      containers: [
        {
          name: 'main',
          image: 'i',
          volumeMounts: [{ name: 'own' }],
          lifecycle: { preStop: { exec: {} } },
        },
      ],
    });
  });

  it('keeps sidecars in their order, and delays probes of containers, which stand at the resume gate', () => {
    const probe = { httpGet: { port: 80 } };
    const probes = {
      ...{ startupProbe: probe, readinessProbe: probe },
      livenessProbe: { ...probe, initialDelaySeconds: 5 },
    };
    const exec = { exec: { command: ['x'] } };
    const made = make(
      raw(
        {},
        {
          initContainers: [
            { name: 'first', restartPolicy: 'Always', ...probes, lifecycle: { postStart: {} } },
            { name: 'setup', restartPolicy: null },
            { name: 'second', restartPolicy: 'Always', livenessProbe: exec, startupProbe: exec },
          ],
          containers: [
            { name: 'main', livenessProbe: { ...probe, initialDelaySeconds: 500 } },
            { name: 'last', ...probes },
          ],
        },
      ),
    );
    const rest = { volumeMounts: [] };
    expect(made.spec['initContainers']).toEqual([
      {
        ...{
          name: 'first',
          restartPolicy: 'Always',
          readinessProbe: probe,
          lifecycle: {},
          ...rest,
        },
        livenessProbe: { ...probe, initialDelaySeconds: 120 },
      },
      { name: 'second', restartPolicy: 'Always', livenessProbe: exec, ...rest },
    ]);
    expect(made.spec['containers']).toEqual([
      { name: 'main', livenessProbe: { ...probe, initialDelaySeconds: 500 }, ...rest },
      {
        ...{ name: 'last', readinessProbe: probe, ...rest },
        livenessProbe: { ...probe, initialDelaySeconds: 120 },
      },
    ]);
  });

  it('keeps the host name', () => {
    const dotted = make(raw({ name: 'a.b' })).spec;
    expect([dotted['hostname'], dotted['hostnameOverride']]).toEqual([undefined, 'a.b']);
    // Moved again it has another name.
    const again = make(raw({ name: 'a.b-12345' }, { hostnameOverride: 'a.b' })).spec;
    expect([again['hostname'], again['hostnameOverride']]).toEqual([undefined, 'a.b']);
    expect(make(raw({}, { hostname: 'old' })).spec['hostname']).toBe('old');
  });

  it('has its labels from creation, and one readiness gate that keeps Services away', () => {
    const gate = { conditionType: podConditions.committed };
    const own = { conditionType: 'example.com/own' };
    const made = make(raw({ labels: { app: 'x', [labels.role]: 'stale' } }));
    expect(made.metadata.labels).toEqual({ app: 'x', [labels.role]: 'target' });
    expect(made.spec['readinessGates']).toEqual([gate]);
    // A pod that has been moved keeps its gate for ever, and is moved again.
    const again = make(raw({}, { readinessGates: [own, gate] }));
    expect(again.spec['readinessGates']).toEqual([own, gate]);
  });

  describe('its images', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const imageOf = (image: string, imageID: string, name = 'main'): unknown => {
      const status = { containerStatuses: [{ name, image, imageID }] };
      const source = { ...raw({}, { containers: [{ name: 'main', image }] }), status };
      return (make(source).spec['containers'] as { image: string }[])[0]?.image;
    };

    it.each([
      ['nginx', `docker.io/library/nginx@${digest}`, `nginx@${digest}`],
      ['nginx:1.27', `docker.io/library/nginx@${digest}`, `nginx:1.27@${digest}`],
      ['user/app:v1', `docker.io/user/app@${digest}`, `user/app:v1@${digest}`],
      [
        'reg.example:5000/a/b:v1',
        `reg.example:5000/a/b@${digest}`,
        `reg.example:5000/a/b:v1@${digest}`,
      ],
    ])('%s is pinned to what runs', (image, imageID, pinned) => {
      expect(imageOf(image, imageID)).toBe(pinned);
    });

    it.each([
      ['an image that no registry has given', 'app:v1', digest],
      ['an image of another name', 'app:v1', `mirror.example/app@${digest}`],
      ['an image that is pinned already', `app@${digest}`, `docker.io/library/app@${digest}`],
      ['a container without an image ID', 'app:v1', ''],
    ])('%s stays', (_name, image, imageID) => {
      expect(imageOf(image, imageID)).toBe(image);
    });

    it('go by the container’s name, sidecars included', () => {
      expect(imageOf('app:v1', `docker.io/library/app@${digest}`, 'other')).toBe('app:v1');
      const side = { name: 'side', image: 'side:v1', restartPolicy: 'Always' };
      const imageID = `docker.io/library/side@${digest}`;
      const status = { initContainerStatuses: [{ name: 'side', imageID }] };
      const made = make({ ...raw({}, { initContainers: [side] }), status });
      expect(made.spec['initContainers']).toMatchObject([{ image: `side:v1@${digest}` }]);
    });
  });

  it('is no pod that a controller would adopt, and keeps its other owners', () => {
    const config = { apiVersion: 'v1', kind: 'ConfigMap', name: 'c', uid: 'config-uid' };
    const made = make(raw({ ownerReferences: [config] }));
    const namespace = { apiVersion: 'v1', kind: 'Namespace', name: 'ns', uid: 'ns-uid' };
    expect(made.metadata.ownerReferences).toEqual([{ ...namespace, controller: true }, config]);
  });

  it('names its own request and networks, not those of an earlier request', () => {
    const made = make(
      raw({
        annotations: {
          mine: '1',
          [annotations.requestUid]: 'old',
          [annotations.migration]: 'ns/old',
          [annotations.restore]: 'ns/old',
          [annotations.networks]: 'old',
          [annotations.networkStatus]: '[]',
        },
      }),
      { networks: '[1]' },
    );
    expect(made.metadata.annotations).toEqual({
      mine: '1',
      [annotations.requestUid]: 'request-uid',
      [annotations.migration]: 'ns/move',
      [annotations.networks]: '[1]',
      [annotations.rdmaDevice]: 'rxe0f1e2d3c4b',
    });
  });

  it('says which addresses of its further networks it keeps, and says so anew each time', () => {
    const made = make(raw(), { fabricIps: ['10.0.0.5', 'fd00::5'] });
    expect(made.metadata.labels).toMatchObject({ [labels.fabricIp]: 'kept' });
    expect(made.metadata.annotations[annotations.fabricIp]).toBe('10.0.0.5,fd00::5');
    const { labels: own, annotations: more } = made.metadata;
    const again = make(raw({ labels: own, annotations: more }));
    expect(again.metadata.labels).toEqual({ [labels.role]: 'target' });
    expect(again.metadata.annotations[annotations.fabricIp]).toBeUndefined();
  });

  it('keeps the name of its RDMA device over many migrations', () => {
    expect(rdmaDevice(raw())).toBe('rxe0f1e2d3c4b');
    expect(rdmaDevice(raw({ annotations: { [annotations.rdmaDevice]: 'rxe9' } }))).toBe('rxe9');
  });

  it('is pinned to its node, without the pod’s own pins to the node that it leaves', () => {
    const made = make(
      raw(
        {},
        {
          nodeSelector: { 'kubernetes.io/hostname': 'host-a', disk: 'ssd' },
          affinity: {
            podAntiAffinity: { x: 1 },
            nodeAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [1],
              ...required({ matchExpressions: [host('In', 'host-a'), zone] }),
            },
          },
        },
      ),
    );
    expect(made.spec['nodeName']).toBeUndefined();
    expect(made.spec['nodeSelector']).toEqual({ disk: 'ssd' });
    expect(made.spec.affinity).toMatchObject({
      podAntiAffinity: { x: 1 },
      nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [1] },
    });
    expect(terms(made)).toEqual([{ matchExpressions: [zone], matchFields: [onB] }]);
    expect(terms(make(raw()))).toEqual([{ matchFields: [onB] }]);
  });

  it.each<[string, object[], object[]]>([
    [
      'hosts that are excluded',
      [{ matchExpressions: [host('NotIn', 'bad')] }],
      [{ matchExpressions: [host('NotIn', 'bad')], matchFields: [onB] }],
    ],
    [
      'several hosts',
      [{ matchExpressions: [host('In', 'host-a', 'b')] }],
      [{ matchExpressions: [host('In', 'host-a', 'b')], matchFields: [onB] }],
    ],
    [
      'names that are excluded',
      [{ matchFields: [named('NotIn', 'bad')] }],
      [{ matchFields: [named('NotIn', 'bad'), onB] }],
    ],
    [
      'an alternative to its pin',
      [{ matchExpressions: [host('In', 'host-a')] }, { matchExpressions: [zone] }],
      [
        { matchExpressions: [host('In', 'host-a')], matchFields: [onB] },
        { matchExpressions: [zone], matchFields: [onB] },
      ],
    ],
    ['no pin by name', [{ matchFields: [named('In', 'a')] }], [{ matchFields: [onB] }]],
    ['no pin of either kind', pinnedTwice, [{ matchFields: [onB] }]],
    [
      'what an earlier move has not added',
      [
        { matchExpressions: [host('In', 'host-a')], matchFields: [named('In', 'a')] },
        { matchExpressions: [zone], matchFields: [named('In', 'a')] },
      ],
      [
        { matchExpressions: [host('In', 'host-a')], matchFields: [onB] },
        { matchExpressions: [zone], matchFields: [onB] },
      ],
    ],
  ])('keeps of its affinity: %s', (_name, nodeSelectorTerms, wanted) => {
    const nodeAffinity = required(...nodeSelectorTerms);
    expect(terms(make(raw({}, { affinity: { nodeAffinity } })))).toEqual(wanted);
  });

  it('lets the scheduler choose: each alternative is there once for each node', () => {
    const two = required({ matchExpressions: [zone] }, { matchFields: [named('NotIn', 'x')] });
    const made = make(raw({}, { affinity: { nodeAffinity: two } }), { nodeNames: ['b', 'c'] });
    expect(terms(made)).toEqual([
      { matchExpressions: [zone], matchFields: [named('In', 'b')] },
      { matchExpressions: [zone], matchFields: [named('In', 'c')] },
      { matchFields: [named('NotIn', 'x'), named('In', 'b')] },
      { matchFields: [named('NotIn', 'x'), named('In', 'c')] },
    ]);
  });

  it.each<[string, object | undefined]>([
    ['nothing', undefined],
    ['preferred affinity alone', { preferredDuringSchedulingIgnoredDuringExecution: [] }],
    ['a zone', required({ matchExpressions: [zone] })],
    ['alternatives', required({ matchExpressions: [zone] }, { matchFields: [named('In', 'c')] })],
  ])('of a moved pod that asked for %s is as of one that never moved', (_name, nodeAffinity) => {
    const affinity = nodeAffinity && { nodeAffinity };
    const source = raw({}, affinity && { affinity });
    const first = make(source, { nodeNames: ['b', 'c', 'd'] }) as unknown as RawPod;
    const moved = { ...first, metadata: { ...first.metadata, uid } };
    const on = { source: { name: 'c', hostname: 'host-c' }, nodeNames: ['a', 'e'] };
    expect(terms(make(moved, on))).toEqual(terms(make(source, { nodeNames: ['a', 'e'] })));
    expect(JSON.stringify(templateOf(moved))).not.toMatch(/"[bd]"/);
  });

  it('keeps a selector of another host', () => {
    const nodeSelector = { 'kubernetes.io/hostname': 'b' };
    expect(make(raw({}, { nodeSelector })).spec['nodeSelector']).toEqual(nodeSelector);
  });

  it('does not change the pod that it is created from', () => {
    const source = raw(
      { labels: { a: 'b' } },
      { nodeSelector: { 'kubernetes.io/hostname': 'host-a' } },
    );
    const before = structuredClone(source);
    make(source);
    expect(source).toEqual(before);
  });
});
