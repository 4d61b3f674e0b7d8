// SPDX-License-Identifier: Apache-2.0
// What the agent does to its node besides serving: install, uninstall, and say what is lacking. main.ts calls it.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  Client,
  loadConfig,
  nodes,
  Rest,
  serveHealth,
  withFaults,
  type Logger,
} from '../../kube/src/index.ts';
import { findContainerd, majorOf } from './node/install/containerd.ts';
import { driverLoaded, loadDriver, loadedAbi } from './node/install/driver.ts';
import { oneAtATime } from './node/install/one-at-a-time.ts';
import { multusProblem, runtimeProblem } from './node/install/problems.ts';
import { installCni, installRelease } from './node/install/release.ts';
import { addHandler, removeHandler, type RuntimeParts } from './node/install/runtime-handler.ts';
import {
  LOADED_MARK,
  refuseWhileUsed,
  removeEmptyFolders,
  removeFiles,
  unloadDriver,
} from './node/install/uninstall.ts';
import { uninstallNodes } from './node/install/uninstall-nodes.ts';
import { withdrawNode, type NodeDescription } from './node/registration.ts';
import { RdmaDriver } from './node/device/driver.ts';
import { Host } from './node/host/host.ts';
import type { Config } from './support/config.ts';
import { AgentError, isErrno, reasonOf, type Failure } from './support/errors.ts';

const apiClient = (): Client => new Client(new Rest(loadConfig()));

/** Puts programs, runtime handler and driver onto the node. What the node refuses is logged, and `describeNode` tells it. */
export async function install(config: Config, log: Logger): Promise<void> {
  const release = await withFaults('install.bundle', async () => {
    const installed = await installRelease(config.bundleDir, config.installDir);
    await installCni(config.installDir, config.cniBinDir);
    return installed;
  });
  log.info({ release }, 'bundle installed');
  if (config.configureRuntime) await configureRuntime(config, log);
  const problemFile = join(config.runDir, DRIVER_PROBLEM);
  await mkdir(config.runDir, { recursive: true });
  try {
    await new RdmaDriver().checkNetnsMode();
    const before = driverLoaded();
    const abi = await withFaults('install.driver', () =>
      loadDriver(new Host(config.host), `${config.installDir}/modules`),
    );
    if (!before) await writeFile(join(config.runDir, LOADED_MARK), '');
    await rm(problemFile, { force: true });
    log.info({ abi }, 'driver loaded');
  } catch (error) {
    // The node then has no label and no pod is moved to or from it; pods that do not ask for Sealift are not hurt.
    await writeFile(problemFile, JSON.stringify(reasonOf(error)));
    log.error({ ...reasonOf(error) }, 'driver not available');
  }
}

/** In the agent's run folder: why the driver could not be loaded. */
const DRIVER_PROBLEM = 'driver-problem.json';

/** Path of the OCI wrapper on the node. */
const runtimeBinary = (config: Config): string => `${config.installDir}/bin/sealift-runc`;

async function runtimeParts(config: Config, log: Logger): Promise<RuntimeParts> {
  const { namespace, nodeName: node, runDir } = config;
  const api = apiClient();
  const name = 'sealift-runtime-restart';
  return {
    ...{ host: new Host(config.host), containerd: await findContainerd(), runDir },
    alone: oneAtATime({ api, log, namespace, name, node }),
  };
}

/** The runtime as the kubelet reports it, e.g. `containerd://2.4.2`. */
async function runtimeVersion(config: Config): Promise<string> {
  return (await apiClient().get(nodes, '', config.nodeName)).status.nodeInfo
    .containerRuntimeVersion;
}

async function configureRuntime(config: Config, log: Logger): Promise<void> {
  try {
    const major = majorOf(await runtimeVersion(config));
    const options = { handler: config.runtimeHandler, binary: runtimeBinary(config) };
    const outcome = await addHandler(await runtimeParts(config, log), major, options);
    log.info({ outcome }, 'runtime handler');
  } catch (error) {
    // `describeNode` finds it out.
    log.error({ ...reasonOf(error) }, 'runtime handler not configured');
  }
}

/** Other nodes of the cluster have the same kernel. */
async function sharesKernel(config: Config): Promise<boolean> {
  const all = (await apiClient().list(nodes)).items.map((item) => nodes.parse(item));
  const own = all.find((node) => node.metadata.name === config.nodeName)?.status.nodeInfo.bootID;
  return all.filter((node) => node.status.nodeInfo.bootID === own).length > 1;
}

/** A runtime that the installer has refused has nothing to give back. */
async function takeHandlerBack(config: Config, log: Logger): Promise<void> {
  try {
    const outcome = await removeHandler(await runtimeParts(config, log));
    log.info({ outcome }, 'runtime handler removed');
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'RuntimeUnsupported') throw error;
    log.info({ ...reasonOf(error) }, 'no runtime handler to remove');
  }
}

/** Takes Sealift off the node. @throws AgentError ContainersLeft, RuntimeFailed; then it may be called again */
export async function uninstall(config: Config, log: Logger): Promise<void> {
  const host = new Host(config.host);
  await refuseWhileUsed(host, runtimeBinary(config));
  await takeHandlerBack(config, log);
  const loadedHere = existsSync(join(config.runDir, LOADED_MARK));
  const stays = await unloadDriver({ loadedHere, shared: await sharesKernel(config) });
  log.info(
    { ...(stays === undefined ? {} : { because: stays }) },
    `driver ${stays === undefined ? 'unloaded' : 'stays'}`,
  );
  await withdrawNode(apiClient(), config.nodeName);
  // Last: sealift-host, with which the agent runs the host's programs, is among the files.
  await removeFiles(config);
  await removeEmptyFolders(host, [config.installDir, config.stateDir, config.runDir]);
  log.info({ node: config.nodeName }, 'Sealift is off this node');
}

/** Lets every node's agent run `uninstall`. */
export const uninstallAll = (config: Config, log: Logger): Promise<void> =>
  uninstallNodes(apiClient(), log, {
    namespace: config.namespace,
    name: process.env['SEALIFT_DAEMONSET'] ?? 'sealift-agent',
  });

/** After `uninstall`, until the DaemonSet is deleted. */
export async function idle(config: Config): Promise<void> {
  const health = await serveHealth(config.metricsPort, {});
  await new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  await health.close();
}

/**
 * What this node lacks: what keeps every pod from being moved first. An ABI only if nothing does.
 * @param known what it returned last. A node that lacked nothing is not asked again while its driver is loaded: this is called
 * with each renewal of the Lease, and only a device of the driver tells the ABI
 */
export async function describeNode(
  config: Config,
  known?: NodeDescription,
): Promise<NodeDescription> {
  if (known && !known.problem && driverLoaded()) return known;
  const host = new Host(config.host);
  try {
    await new RdmaDriver().checkNetnsMode();
    const driverAbi = await loadedAbi();
    if (driverAbi === undefined) return { driverAbi, problem: await driverProblem(config) };
    const runtime = config.configureRuntime
      ? await runtimeProblem(host, await runtimeVersion(config), config.runtimeHandler)
      : undefined;
    if (runtime) return { driverAbi: undefined, problem: runtime };
    return { driverAbi, problem: await multusProblem(host) };
  } catch (error) {
    return { driverAbi: undefined, problem: reasonOf(error) };
  }
}

/** What `install` has said about the driver on this node, e.g. that there is none for its kernel. */
async function driverProblem(config: Config): Promise<Failure> {
  try {
    return JSON.parse(await readFile(join(config.runDir, DRIVER_PROBLEM), 'utf8')) as Failure;
  } catch (error) {
    if (!isErrno(error, 'ENOENT') && !(error instanceof SyntaxError)) throw error;
    return { code: 'DriverMissing', message: "Sealift's rdma_rxe is not loaded on this node." };
  }
}
