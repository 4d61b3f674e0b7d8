// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../crds/src/index.ts';
import { at, container, NOW, pod, type PodParts } from '../../testing/objects.ts';
import { podRefusals, refusePod } from './pod-rules.ts';

const one = (state: object, more: object = {}): PodParts => ({
  status: { containerStatuses: [container(state as Record<string, unknown>, { ...more })] },
});
/** Two containers, a sidecar that `more` says something of, and an init container that has run. */
const many = (more: object = {}): PodParts => ({
  spec: {
    containers: [{ name: 'main' }, { name: 'second' }],
    initContainers: [{ name: 'i' }, { name: 's', restartPolicy: 'Always' }],
  },
  status: {
    containerStatuses: ['main', 'second'].map((name) => ({
      ...{ name, state: { running: {} }, ready: true, started: true },
    })),
    initContainerStatuses: [
      { name: 'i', state: { terminated: { reason: 'Completed' } } },
      { name: 's', state: { running: {} }, ready: true, started: true, ...more },
    ],
  },
});
const ready = { ready: true, started: true };
const volume = { name: 'pv', kind: 'csi' };
const claims = new Map([
  ['c', { accessModes: ['ReadWriteOnce'], volumeMode: 'Filesystem', volume }],
]);
const ownDomain = { 'alpha.jobset.sigs.k8s.io/exclusive-topology': 'example.org/rack' };
/** The second worker by its name, of whose MPIJob the launcher is worker 0 or none. */
const mpiWorker = (index: string) => ({
  name: 'train-worker-1',
  labels: { 'training.kubeflow.org/replica-index': index },
  ownerReferences: [{ kind: 'MPIJob', name: 'train', controller: true }],
});

describe('refusePod', () => {
  it.each<[string, PodParts]>([
    ['a plain pod', {}],
    [
      'volumes whose content is in the images, or is created again',
      {
        spec: {
          volumes: [
            { name: 'a', emptyDir: {} },
            { name: 'b', configMap: {} },
            { name: 'c', secret: {} },
            { name: 'd', projected: {} },
            { name: 'e', downwardAPI: {} },
          ],
        },
      },
    ],
    ['init containers that have run', { spec: { initContainers: [{ name: 'i' }] } }],
    [
      'an owner that does not control it',
      { metadata: { ownerReferences: [{ kind: 'Node', name: 'n' }] } },
    ],
    ['earlier restarts', one({ running: {} }, { ...ready, restartCount: 3 })],
    [
      'a restart that was long enough ago',
      one({ running: { startedAt: at(-40) } }, { ...ready, restartCount: 2 }),
    ],
    ['several containers and a sidecar', many()],
    [
      'resources that every node has, its own ports, and memory as a volume',
      {
        spec: {
          hostUsers: true,
          volumes: [{ name: 'v', emptyDir: { medium: 'Memory' } }],
          containers: [
            {
              name: 'main',
              ports: [{ containerPort: 80 }],
              resources: {
                requests: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '1Gi' },
                limits: { 'hugepages-2Mi': '4Mi', 'attachable-volumes-x.kubernetes.io/y': 1 },
              },
            },
          ],
        },
      },
    ],
    [
      'a device and a port of an init container that has run',
      {
        spec: {
          initContainers: [
            {
              name: 'i',
              ports: [{ containerPort: 80, hostPort: 80 }],
              resources: { limits: { 'example.com/gpu': '1' } },
            },
          ],
        },
      },
    ],
    ['an executor of Spark', { metadata: { labels: { 'spark-role': 'executor' } } }],
    [
      'a pod that was migrated before',
      { metadata: { annotations: { [annotations.requestUid]: 'old' }, labels: { app: 'x' } } },
    ],
  ])('accepts %s', (_name, parts) => {
    expect(refusePod(pod(parts), 'p', NOW)).toBeUndefined();
  });

  it('accepts a pod that was restarted on a node whose clock it does not know', () => {
    const parts = one({ running: { startedAt: at(600) } }, { ...ready, restartCount: 2 });
    expect(refusePod(pod(parts), 'p', undefined)).toBeUndefined();
  });

  it.each<[string, string, RegExp, PodParts]>([
    [
      'no runtime class',
      'NotSealiftRuntime',
      /runtimeClassName/,
      { spec: { runtimeClassName: null } },
    ],
    [
      'the target of a request that has not finished',
      'AnotherMigration',
      /default\/move/,
      {
        metadata: {
          labels: { [labels.role]: 'target' },
          annotations: { [annotations.migration]: 'default/move' },
        },
      },
    ],
    [
      'a pod that is being deleted',
      'PodNotRunning',
      /deleted/,
      { metadata: { deletionTimestamp: at(0) } },
    ],
    [
      'a pod of a LeaderWorkerSet',
      'UnsupportedPod',
      /leaderworkerset.*=vllm: .*group anew/,
      { metadata: { labels: { 'leaderworkerset.sigs.k8s.io/name': 'vllm' } } },
    ],
    [
      'a Spark driver',
      'UnsupportedPod',
      /spark-role=driver: .*executors/,
      { metadata: { labels: { 'spark-role': 'driver' } } },
    ],
    [
      'a pod of a JobSet that has its topology domain to itself',
      'UnsupportedPod',
      /domain example.org\/rack of a JobSet to itself/,
      { metadata: { annotations: ownDomain } },
    ],
    [
      'a worker of an MPIJob whose launcher is a worker',
      'UnsupportedPod',
      /worker 2 of an MPIJob .*runLauncherAsWorker/,
      { metadata: mpiWorker('2') },
    ],
    ['a pending pod', 'PodNotRunning', /Pending/, { status: { phase: 'Pending' } }],
    ['a pod that has completed', 'PodNotRunning', /Succeeded/, { status: { phase: 'Succeeded' } }],
    [
      'a container without a status',
      'ContainerNotRunning',
      /main has no status/,
      { status: { containerStatuses: [] } },
    ],
    [
      'a crash loop',
      'ContainerCrashLooping',
      /main has ended 4 times .* \(CrashLoopBackOff\).*--previous/,
      one({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount: 3 }),
    ],
    [
      'a crash loop in which the container has just started',
      'ContainerCrashLooping',
      /restarted 2 times and has run for 39 s since, not yet for 40 s/,
      one({ running: { startedAt: at(-39) } }, { ...ready, restartCount: 2 }),
    ],
    [
      'a crash loop with many restarts',
      'ContainerCrashLooping',
      /not yet for 300 s/,
      one({ running: { startedAt: at(-299) } }, { ...ready, restartCount: 100 }),
    ],
    [
      'a sidecar that is not ready',
      'ContainerNotRunning',
      /Container s is not ready/,
      many({ ready: false }),
    ],
    [
      'a sidecar in a crash loop',
      'ContainerCrashLooping',
      /Container s /,
      many({ state: { waiting: { reason: 'CrashLoopBackOff' } } }),
    ],
    [
      'a container that has ended',
      'ContainerNotRunning',
      /OOMKilled/,
      one({ terminated: { reason: 'OOMKilled' } }),
    ],
    ['a container without a known state', 'ContainerNotRunning', /no known state/, one({})],
    [
      'a container that has not passed its startup probe',
      'ContainerNotRunning',
      /startup/,
      one({ running: {} }, { started: false }),
    ],
    [
      'a container that is not ready',
      'ContainerNotRunning',
      /not ready/,
      one({ running: {} }, { started: true }),
    ],
    ['the host’s network', 'UnsupportedPod', /hostNetwork/, { spec: { hostNetwork: true } }],
    ['the host’s processes', 'UnsupportedPod', /hostPID/, { spec: { hostPID: true } }],
    ['the host’s IPC', 'UnsupportedPod', /hostIPC/, { spec: { hostIPC: true } }],
    [
      'a shared PID namespace',
      'UnsupportedPod',
      /share/,
      { spec: { shareProcessNamespace: true } },
    ],
    [
      'claimed devices',
      'UnsupportedPod',
      /resourceClaims/,
      { spec: { resourceClaims: [{ name: 'r' }] } },
    ],
    [
      'a debug container',
      'UnsupportedPod',
      /ephemeral/,
      { spec: { ephemeralContainers: [{ name: 'd' }] } },
    ],
    [
      'a user namespace of its own',
      'UnsupportedPod',
      /hostUsers: false.*without hostUsers/,
      { spec: { hostUsers: false } },
    ],
    [
      'a port of its node',
      'UnsupportedPod',
      /Container main has hostPort 8080.*Service/,
      { spec: { containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort: 8080 }] }] } },
    ],
    [
      'a port of its node, of a sidecar',
      'UnsupportedPod',
      /Container s has hostPort 9/,
      {
        spec: {
          initContainers: [
            { name: 's', restartPolicy: 'Always', ports: [{ containerPort: 9, hostPort: 9 }] },
          ],
        },
        status: { initContainerStatuses: [{ name: 's', state: { running: {} }, ...ready }] },
      },
    ],
    [
      'a device of a device plugin',
      'UnsupportedPod',
      /Container main has resource example.com\/gpu.*device/,
      {
        spec: { containers: [{ name: 'main', resources: { limits: { 'example.com/gpu': '1' } } }] },
      },
    ],
    [
      'a pod whose containers get other resources',
      'PodResizing',
      /is being resized .*PodResizeInProgress: too little is free/,
      {
        status: {
          conditions: [
            { type: 'PodResizeInProgress', status: 'True', message: 'too little is free' },
          ],
        },
      },
    ],
    [
      'a volume (volume-rules.test.ts)',
      'UnsupportedVolume',
      /Volume v is claim c of PersistentVolume [a-z]+, which only one node at a time/,
      { spec: { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] } },
    ],
  ])('refuses %s', (_name, reason, text, parts) => {
    expect(refusePod(pod(parts), 'p', NOW, { volumes: { claims, sharedHostPaths: [] } })).toEqual({
      reason,
      message: expect.stringMatching(text) as string,
    });
  });
});

describe('a pod of a controller of another project', () => {
  it('is taken where its move harms no other pod', () => {
    const selected = { ...ownDomain, 'alpha.jobset.sigs.k8s.io/node-selector': 'true' };
    for (const metadata of [{ annotations: selected }, mpiWorker('1')]) {
      expect(refusePod(pod({ metadata }), 'p', NOW)).toBeUndefined();
    }
  });
});

describe('a pod whose move an earlier release has begun', () => {
  const leader = { labels: { 'leaderworkerset.sigs.k8s.io/name': 'vllm' } };
  const named = { metadata: { name: 'a.b' }, spec: { setHostnameAsFQDN: true } };

  it.each<[string, PodParts]>([
    ['a pod of a LeaderWorkerSet', { metadata: leader }],
    ['a Spark driver', { metadata: { labels: { 'spark-role': 'driver' } } }],
    ['a pod whose own name is its host name', named],
  ])('is taken back from its landing pod: %s', (_name, parts) => {
    const reasons = (isLanding: boolean) =>
      [...podRefusals(pod(parts), 'p', NOW, { isLanding })].map((one) => one.reason);
    expect(reasons(false)).toEqual(['UnsupportedPod']);
    expect(reasons(true)).toEqual([]);
  });

  it('is refused for everything else', () => {
    const parts = { metadata: leader, spec: { hostNetwork: true } };
    const [first, ...more] = podRefusals(pod(parts), 'p', NOW, { isLanding: true });
    expect([first?.message, more]).toEqual([expect.stringContaining('hostNetwork'), []]);
  });
});
