// SPDX-License-Identifier: Apache-2.0
// Pods with volumes: what two nodes mount at the same time, memory, and what the kubelet publishes from objects of the API.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectMoveFails, numbersIn } from '../src/checks.ts';
import { apply, kubectl } from '../src/cluster.ts';
import { move } from '../src/move.ts';
import { NfsServer } from '../src/nfs-server.ts';
import { podLog, startPod, type PodExtras } from '../src/pods.ts';
import { until } from '../src/wait.ts';

const claim = (name: string, volumeName: string, accessModes: readonly string[]): object => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: {
    ...{ accessModes, volumeName, storageClassName: '' },
    resources: { requests: { storage: '1Gi' } },
  },
});

const withVolumes = (volumes: Record<string, object>): PodExtras => ({
  initContainers: [],
  containers: [],
  volumes: Object.entries(volumes).map(([name, source]) => ({ name, ...source })),
  mounts: Object.keys(volumes).map((name) => ({ name, mountPath: `/${name}` })),
});

/** Descriptors 4 and 5 append to a file of the server's and to one in memory, 6 reads a line of the server's at a time. */
const WRITE =
  'exec 4>>/shared/log 5>>/memory/log 6</shared/lines; while read line <&6; do echo $line; echo $line >&4; ' +
  'echo $line >&5; [ "$(cat /memory/log | wc -l)" = $line ] || echo memory; sleep 1; done';

/** Numbers from 1 on, none missing and none twice. @returns the last one */
function expectSeries(what: string, numbers: readonly number[], from = 1): number {
  numbers.forEach((number, at) =>
    expect(number === from + at, `${what} has ${number} in place of ${from + at}`),
  );
  return from + numbers.length - 1;
}

async function onServer(context: CaseContext): Promise<void> {
  const { namespace, nodes, log, results } = context;
  const server = await NfsServer.start(nodes[0], nodes);
  const name = (mode: string): string => `${namespace}-${mode}`;
  const claims = { many: ['ReadWriteMany'], once: ['ReadWriteOnce'] };
  try {
    await server.run('seq 1 2000 > lines && chmod 666 lines');
    for (const [mode, accessModes] of Object.entries(claims)) {
      await apply(server.volume(name(mode), accessModes));
      await apply({ ...claim(mode, name(mode), accessModes), ...inNamespace(mode, namespace) });
    }
    const shared = (mode: string): object => ({ persistentVolumeClaim: { claimName: mode } });
    const memory = { emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } };
    await startPod({
      ...{ namespace, name: 'writer', node: nodes[0], command: ['/bin/sh', '-c', WRITE] },
      extras: withVolumes({ shared: shared('many'), memory }),
    });
    // It has the volume before the pod comes, and goes on reading it.
    await startPod({
      ...{ namespace, name: 'reader', node: nodes[1], runtimeClass: null },
      command: ['/bin/sh', '-c', 'tail -n +1 -f /shared/log'],
      extras: withVolumes({ shared: shared('many') }),
    });
    let pod = 'writer';
    for (const to of [nodes[1], nodes[0]]) {
      await counts(namespace, pod);
      const moved = await move({ namespace, pod, to, workload: 'NFS volume' }, log);
      results.moves.push(moved.entry);
      pod = moved.pod;
    }
    const last = await counts(namespace, pod);
    const printed = await podLog(namespace, pod);
    expect(!printed.includes('memory'), 'the file in memory has lost lines');
    expectSeries('the moved pod', numbersIn(printed), numbersIn(printed)[0]);
    const written = expectSeries('the file', numbersIn(await server.run('cat log')));
    expect(written >= last, `the file ends at ${written}, the pod at ${last}`);
    await until('the other pod reads what the moved one writes', { within: 60 }, async () =>
      numbersIn(await podLog(namespace, 'reader')).includes(last) ? true : undefined,
    );

    await startPod({
      ...{ namespace, name: 'locks', node: nodes[0], command: ['files', 'lock', '/shared/lock'] },
      extras: withVolumes({ shared: shared('many') }),
    });
    await expectMoveFails(context, { pod: 'locks', to: nodes[1], reason: 'UnsupportedObject' });
    await startPod({
      ...{ namespace, name: 'alone', node: nodes[0], command: ['/bin/sh', '-c', 'sleep 3600'] },
      extras: withVolumes({ shared: shared('once') }),
    });
    await expectMoveFails(context, { pod: 'alone', to: nodes[1], reason: 'UnsupportedVolume' });
  } finally {
    // The server's mounts have to go before it does.
    await kubectl('-n', namespace, 'delete', 'pods', '--all', '--wait=true', '--timeout=120s');
    await kubectl('-n', namespace, 'delete', 'pvc', '--all', '--wait=true', '--timeout=60s');
    await kubectl('delete', 'pv', ...Object.keys(claims).map(name), '--ignore-not-found');
    await server.stop();
  }
}

const inNamespace = (name: string, namespace: string): object => ({
  metadata: { name, namespace },
});

const counts = (namespace: string, pod: string): Promise<number> =>
  until(`${pod} counts`, { within: 120 }, async () => {
    const numbers = numbersIn(await podLog(namespace, pod));
    return numbers.length > 3 ? numbers.at(-1) : undefined;
  });

/**
 * Descriptor 3 reads a line of a ConfigMap's file at a time; beside it lines say what the other key has, what happens in the
 * volume's directory, and what the downward API says.
 */
const WATCH =
  'exec 3</config/lines; files watch /config & while read line <&3; do echo $line; ' +
  'echo "version $(cat /config/version) of $(cat /pod/name)"; sleep 1; done';

async function published(context: CaseContext): Promise<void> {
  const { namespace, nodes, log, results } = context;
  const lines = Array.from({ length: 2000 }, (_, at) => `${at + 1}\n`).join('');
  const configMap = (version: string): Promise<string> =>
    apply({
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings', namespace } },
      data: { lines, version },
    });
  await configMap('one');
  await kubectl('-n', namespace, 'create', 'secret', 'generic', 'keys', '--from-literal=key=k');
  const name = { path: 'name', fieldRef: { fieldPath: 'metadata.name' } };
  const token = { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } };
  await startPod({
    ...{ namespace, name: 'watcher', node: nodes[0], command: ['/bin/sh', '-c', WATCH] },
    extras: withVolumes({
      config: { configMap: { name: 'settings' } },
      pod: { downwardAPI: { items: [name] } },
      all: { projected: { sources: [token, { secret: { name: 'keys' } }] } },
    }),
  });
  let pod = 'watcher';
  let last = 0;
  const turn = async (to: string): Promise<void> => {
    last = await counts(namespace, pod);
    const moved = await move({ namespace, pod, to, workload: 'API volumes' }, log);
    results.moves.push(moved.entry);
    pod = moved.pod;
    await counts(namespace, pod);
    const printed = numbersIn(await podLog(namespace, pod));
    expect((printed[0] ?? 0) > last, `the open file began again at ${printed[0]}, after ${last}`);
    expectSeries('the open file', printed, printed[0]);
    await says(`of ${pod}`);
  };
  /** A kubelet looks at its pods once a minute, and may have a ConfigMap as it was a minute ago. */
  const says = (text: string): Promise<true> =>
    until(`${pod} says ${text}`, { within: 240, every: 3 }, async () =>
      (await podLog(namespace, pod)).includes(text) ? true : undefined,
    );
  const isTold = (): Promise<true> => says('event 80 ..data');

  await turn(nodes[1]);
  await configMap('two');
  await says('version two');
  await isTold();
  // Its kubelet does not know of this yet; the target's has never known another.
  await configMap('three');
  await turn(nodes[0]);
  await says('version three');
  await isTold();
}

export const cases: readonly Case[] = [
  {
    name: 'volume-rwx',
    promise:
      'A pod moves with open files of an NFS server and of a memory volume; one with a lock there, or with a claim of one node, is refused.',
    needs: ['shell', 'own-kernel'],
    run: onServer,
  },
  {
    name: 'volume-projected',
    promise:
      'A pod moves with open and watched files of ConfigMap, downward API and projected volumes, and learns of updates after the move.',
    run: published,
  },
];
