// SPDX-License-Identifier: Apache-2.0
// Installs Sealift on the cluster: images, chart, fabric network.
import { writeFile } from 'node:fs/promises';
import { labels } from '../../crds/src/index.ts';
import { helm, kubectl, kubectlJson, readyNodes } from './cluster.ts';
import { top } from './command.ts';
import { loadImage } from './images.ts';
import { FABRIC } from './pods.ts';
import { provider } from './provider/choice.ts';
import { NotReachedError, sparing, until } from './wait.ts';

const IMAGES = ['operator', 'agent', 'workloads'] as const;

/** @returns whether a node lacked one of those that Sealift's pods run */
async function loadImages(log: (line: string) => void): Promise<boolean> {
  let changed = false;
  for (const image of IMAGES) {
    const lacked = await loadImage(image, log);
    if (image !== 'workloads') changed ||= lacked;
  }
  return changed;
}

/** How many pods of Sealift are ready, and how many should be. */
async function countReadyPods(): Promise<{ ready: number; wanted: number; why: string }> {
  const list = (await kubectlJson('-n', 'sealift', 'get', 'deployments,daemonsets')) as {
    items: {
      metadata: { name: string; generation: number };
      spec: { replicas?: number };
      status: Record<string, number | undefined>;
    }[];
  };
  let have = 0;
  let wanted = 0;
  for (const { metadata, spec, status } of list.items) {
    const current = status['observedGeneration'] === metadata.generation;
    wanted += spec.replicas ?? status['desiredNumberScheduled'] ?? 1;
    const updated = Math.min(
      status['updatedReplicas'] ?? status['updatedNumberScheduled'] ?? 0,
      status['readyReplicas'] ?? status['numberReady'] ?? 0,
    );
    if (current) have += updated;
  }
  return { ready: have, wanted, why: `${have} of ${wanted} pods ready` };
}

async function waitUntilReady(log: (line: string) => void): Promise<void> {
  const say = sparing(log);
  await until('Sealift is ready', { within: 420, every: 3 }, async () => {
    const { ready, wanted, why } = await countReadyPods();
    if (wanted > 0 && ready === wanted) return true;
    say(`waiting until operator and agents are ready (${ready} of ${wanted}), usually 60 s`);
    throw new Error(why);
  });
}

/** After that many crashes the kubelet's back-off is longer than a new pod takes to become ready. */
const MAX_CRASHES = 3;

/** Replaces the pods that have crashed often, so that nothing waits for the kubelet's back-off. */
export async function replaceCrashedPods(log: (line: string) => void): Promise<void> {
  const list = (await kubectlJson('-n', 'sealift', 'get', 'pods')) as {
    items: {
      metadata: { name: string };
      status: { containerStatuses?: { restartCount: number }[] };
    }[];
  };
  const crashed = list.items
    .filter(({ status }) =>
      status.containerStatuses?.some((one) => one.restartCount >= MAX_CRASHES),
    )
    .map(({ metadata }) => metadata.name);
  if (crashed.length > 0) await kubectl('-n', 'sealift', 'delete', 'pods', ...crashed);
  await waitUntilReady(log);
}

/**
 * Installs or upgrades Sealift on the cluster, unless its provider leaves that to others, and waits until it is ready on every
 * node.
 * @throws NotReachedError that says what is missing
 */
export async function installSealift(log: (line: string) => void): Promise<void> {
  if (provider.chartValues === undefined) log('taking the Sealift that the cluster has');
  else await installChart(provider.chartValues, log);
  await waitUntilReady(log);
  const nodes = await readyNodes();
  const list = (await kubectlJson('get', 'nodes', '-l', labels.driverAbi)) as {
    items: { metadata: { name: string } }[];
  };
  const lacking = nodes.filter((one) => !list.items.some(({ metadata }) => metadata.name === one));
  if (lacking.length > 0)
    throw new NotReachedError(
      `These nodes lack Sealift's driver: ${lacking.join(', ')}. The agents' logs say why.`,
    );
}

/** Whether helm knows of a Sealift in this cluster, whole or not. */
export async function isInstalled(): Promise<boolean> {
  const releases = JSON.parse(await helm('list', '-a', '-n', 'sealift', '-o', 'json')) as unknown[];
  return releases.length > 0;
}

/** As an administrator does. @throws CommandError when the chart's hook fails: then the nodes have what they had */
export async function uninstallSealift(log: (line: string) => void): Promise<void> {
  log('helm uninstall sealift');
  await helm('uninstall', 'sealift', '--namespace', 'sealift', '--wait', '--timeout', '14m');
}

/** An API server that starts on an emulated CPU lets some of helm's requests wait for too long; helm makes each only once. */
const UPGRADE_TRIES = 3;

async function upgrade(values: string, log: (line: string) => void): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    await forgetInterrupted();
    log('helm upgrade --install sealift charts/sealift');
    try {
      await helm(
        ...['upgrade', '--install', 'sealift', `${top}/charts/sealift`, '--namespace', 'sealift'],
        ...['--create-namespace', '-f', values],
      );
      return;
    } catch (error) {
      if (tries === UPGRADE_TRIES) throw error;
      log(`  failed: ${(error as Error).message}; once more`);
    }
  }
}

/** As long as helm has a record of a revision that was interrupted, or of an uninstall that failed, it refuses the next one. */
async function forgetInterrupted(): Promise<void> {
  const status = 'status in (pending-install,pending-upgrade,pending-rollback,uninstalling)';
  const records = ['secrets', '-l', `owner=helm,name=sealift,${status}`];
  await kubectl('-n', 'sealift', 'delete', ...records);
}

/** @param own values of the chart for this cluster */
async function installChart(own: object, log: (line: string) => void): Promise<void> {
  const changed = await loadImages(log);
  const old = (await kubectl('-n', 'sealift', 'get', 'pods', '-o', 'name')).match(/\S+/g);
  const values = `${top}/build/e2e-values.json`;
  await writeFile(
    values,
    JSON.stringify({
      faultPoints: true,
      networks: [
        {
          ...FABRIC,
          delegate: { type: 'macvlan', master: 'eth1', mode: 'bridge', ipam: { type: 'static' } },
        },
      ],
      podNetwork: { enabled: true },
      ...own,
    }),
  );
  await upgrade(values, log);
  // Helm never upgrades the definitions.
  await kubectl('apply', '--server-side', '--force-conflicts', '-f', `${top}/charts/sealift/crds`);
  const gone = ['--ignore-not-found', '--wait=false'];
  if (changed && old) await kubectl('-n', 'sealift', 'delete', ...old, ...gone);
}
