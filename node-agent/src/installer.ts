// SPDX-License-Identifier: Apache-2.0
// What the agent does to its node besides serving: install, uninstall, and say what is lacking. main.ts calls it.
import { mkdir } from 'node:fs/promises';
import {
  Client,
  loadConfig,
  nodes,
  realClock,
  Rest,
  serveHealth,
  withFaults,
  type Logger,
} from '../../kube/src/index.ts';
import { findContainerd, majorOf, SOCKET } from './node/install/containerd.ts';
import { criAnswers } from './node/install/cri.ts';
import {
  driverLoaded,
  loadDriver,
  loadedAbi,
  loadInfiniBand,
  requireDriver,
} from './node/install/driver.ts';
import { loadedModules, noteLoaded, presentModules } from './node/install/loaded-modules.ts';
import { oneAtATime } from './node/install/one-at-a-time.ts';
import {
  cgroupProblem,
  driverProblemFile,
  multusProblem,
  nftablesProblem,
  notedProblem,
  noteProblem,
  runtimeProblem,
  runtimeProblemFile,
} from './node/install/problems.ts';
import { installCni, installRelease } from './node/install/release.ts';
import { knownRuntimeVersion } from './node/install/runtime-version.ts';
import { addHandler, removeHandler, type RuntimeParts } from './node/install/runtime-handler.ts';
import {
  refuseWhileKept,
  refuseWhileUsed,
  removeEmptyDirectories,
  removeFiles,
  unloadDriver,
} from './node/install/uninstall.ts';
import { uninstallNodes } from './node/install/uninstall-nodes.ts';
import { PodIp } from './node/pod-ip/pod-ip.ts';
import { publishProblem, withdrawNode, type NodeDescription } from './node/registration.ts';
import { RdmaDriver } from './node/device/driver.ts';
import { Host } from './node/host/host.ts';
import { sharesKernel } from './support/shared-kernel.ts';
import type { Config } from './support/config.ts';
import { AgentError, reasonOf, type Failure } from './support/errors.ts';

const apiClient = (): Client => new Client(new Rest(loadConfig()));

/**
 * Puts programs, runtime handler and driver onto the node. The log has what the node refuses, and `describeNode` reports it.
 * @throws what kept the programs from the node, e.g. that its disk is full; then no agent starts there
 */
export async function install(config: Config, log: Logger): Promise<void> {
  try {
    await installAll(config, log);
  } catch (error) {
    // Nobody else would say it on the Node object.
    await publishProblem(apiClient(), config.nodeName, reasonOf(error)).catch((cause: unknown) =>
      log.warn({ ...reasonOf(cause) }, 'the Node object does not have it'),
    );
    throw error;
  }
}

async function installAll(config: Config, log: Logger): Promise<void> {
  const release = await withFaults('install.bundle', async () => {
    const installed = await installRelease(config.bundleDir, config.installDir);
    await installCni(config.installDir, config.cniBinDir);
    return installed;
  });
  log.info({ release }, 'bundle installed');
  await mkdir(config.runDir, { recursive: true });
  if (config.configureRuntime) await configureRuntime(config, log);
  const problemFile = driverProblemFile(config.runDir);
  try {
    const host = new Host(config.host);
    const modulesDir = `${config.installDir}/modules`;
    const before = presentModules();
    let replacedDriver = false;
    let abi;
    try {
      // Where there is no driver, InfiniBand stays as it is: its mode counts for real hardware, too.
      await requireDriver(modulesDir);
      await loadInfiniBand(host);
      await new RdmaDriver().checkNetnsMode();
      ({ abi, replacedDriver } = await withFaults('install.driver', () =>
        loadDriver(host, modulesDir),
      ));
    } finally {
      // Also where it ends half way: the uninstall takes out what is there.
      await noteLoaded(config.runDir, before, replacedDriver);
    }
    await noteProblem(problemFile, undefined);
    log.info({ abi }, 'driver loaded');
  } catch (error) {
    // The node then has no label and no pod is moved to or from it; pods that do not ask for Sealift are not hurt.
    await noteProblem(problemFile, reasonOf(error));
    log.error({ ...reasonOf(error) }, 'driver not available');
  }
}

/** Path of the OCI wrapper on the node. */
const runtimeBinary = (config: Config): string => `${config.installDir}/bin/sealift-runc`;

async function runtimeParts(config: Config, log: Logger): Promise<RuntimeParts> {
  const { namespace, nodeName: node, runDir, stateDir } = config;
  const api = apiClient();
  const name = 'sealift-runtime-restart';
  const host = new Host(config.host);
  return {
    ...{ host, containerd: await findContainerd(), runDir, stateDir },
    answers: () => criAnswers(host.path(SOCKET)),
    alone: oneAtATime({ api, log, namespace, name, node }),
  };
}

/** The runtime as the kubelet reports it, e.g. `containerd://2.4.2`. */
async function runtimeVersion(config: Config): Promise<string> {
  return (await apiClient().get(nodes, '', config.nodeName)).status.nodeInfo
    .containerRuntimeVersion;
}

async function configureRuntime(config: Config, log: Logger): Promise<void> {
  const version = await knownRuntimeVersion(() => runtimeVersion(config), {
    clock: realClock,
    log,
  });
  const problemFile = runtimeProblemFile(config.runDir);
  try {
    const major = majorOf(version);
    const options = { handler: config.runtimeHandler, binary: runtimeBinary(config) };
    const outcome = await addHandler(await runtimeParts(config, log), major, options);
    await noteProblem(problemFile, undefined);
    log.info({ outcome }, 'runtime handler');
  } catch (error) {
    // `describeNode` reports it.
    await noteProblem(problemFile, reasonOf(error));
    log.error({ ...reasonOf(error) }, 'runtime handler not configured');
  }
}

/** Does nothing for a runtime that the installer has refused: it has no handler. */
async function removeRuntimeHandler(config: Config, log: Logger): Promise<void> {
  try {
    const outcome = await removeHandler(await runtimeParts(config, log));
    log.info({ outcome }, 'runtime handler removed');
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'RuntimeUnsupported') throw error;
    log.info({ ...reasonOf(error) }, 'no runtime handler to remove');
  }
}

/** Takes Sealift off the node. @throws AgentError ContainersLeft, AddressesLeft, RuntimeFailed; then it may be called again */
export async function uninstall(config: Config, log: Logger): Promise<void> {
  const host = new Host(config.host);
  await refuseWhileUsed(host, runtimeBinary(config));
  await refuseWhileKept(apiClient());
  await new PodIp({ host }).clear();
  await removeRuntimeHandler(config, log);
  // Where it is not known whether other nodes need the driver, it stays.
  const shared = (await sharesKernel(apiClient(), config.nodeName)) !== false;
  const stays = await unloadDriver({
    host,
    shared,
    loaded: await loadedModules(config.runDir),
  });
  log.info(
    { ...(stays === undefined ? {} : { because: stays }) },
    `driver ${stays === undefined ? 'unloaded' : 'stays'}`,
  );
  await withdrawNode(apiClient(), config.nodeName);
  // Last: sealift-host, with which the agent runs the host's programs, is among the files.
  await removeFiles(config);
  await removeEmptyDirectories(host, [config.installDir, config.stateDir, config.runDir]);
  log.info({ node: config.nodeName }, 'Sealift is off this node');
}

/** Lets every node's agent run `uninstall`. @throws AgentError ContainersLeft, RequestsLeft, NodesLeft */
export const uninstallAll = (config: Config, log: Logger): Promise<void> =>
  uninstallNodes(apiClient(), log, {
    namespace: config.namespace,
    name: process.env['SEALIFT_DAEMONSET'] ?? 'sealift-agent',
    handler: config.runtimeHandler,
    // The rest of the Job's time is for its own start.
    limitMs: Number(process.env['SEALIFT_UNINSTALL_SECONDS'] ?? 240) * 800,
  });

/** After `uninstall`, until the DaemonSet is deleted. */
export async function idle(config: Config): Promise<void> {
  const health = await serveHealth(config.metricsPort, {});
  await new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  await health.close();
}

let hasNftables = false;

/** The runtime as the kubelet has reported it, if Sealift works with it. */
let goodRuntimeVersion: string | undefined;

async function describeRuntime(config: Config, host: Host): Promise<Failure | undefined> {
  const version = goodRuntimeVersion ?? (await runtimeVersion(config));
  const problem = await runtimeProblem(host, {
    ...{ runtimeVersion: version, handler: config.runtimeHandler, binary: runtimeBinary(config) },
    ...{ configured: config.configureRuntime, runDir: config.runDir },
  });
  goodRuntimeVersion = problem ? undefined : version;
  return problem;
}

/**
 * What this node lacks, first what keeps every pod from being moved; and the driver's ABI, if nothing does. The agent calls
 * this with each renewal of its Lease.
 * @param known the last result. The driver's ABI is that of it while a driver is loaded: reading the ABI takes an RDMA device
 */
export async function describeNode(
  config: Config,
  known?: NodeDescription,
): Promise<NodeDescription> {
  const host = new Host(config.host);
  try {
    const machine =
      cgroupProblem(host) ?? (driverLoaded() ? undefined : await driverProblem(config));
    if (machine) return { driverAbi: undefined, problem: machine };
    await new RdmaDriver().checkNetnsMode();
    const driverAbi = known?.driverAbi ?? (await loadedAbi());
    if (driverAbi === undefined) return { driverAbi, problem: await driverProblem(config) };
    // It does not come and go: a kernel that had it keeps it.
    const network = hasNftables ? undefined : await nftablesProblem();
    hasNftables = network === undefined;
    if (network) return { driverAbi: undefined, problem: network };
    // Whatever manages the node may have written containerd's configuration anew since.
    const runtime = await describeRuntime(config, host);
    if (runtime) return { driverAbi: undefined, problem: runtime };
    return { driverAbi, problem: await multusProblem(host) };
  } catch (error) {
    return { driverAbi: undefined, problem: reasonOf(error) };
  }
}

/** What `install` has said about the driver on this node, e.g. that there is none for its kernel. */
const driverProblem = async (config: Config): Promise<Failure> =>
  (await notedProblem(driverProblemFile(config.runDir))) ?? {
    code: 'DriverMissing',
    message: "Sealift's rdma_rxe is not loaded on this node.",
  };
