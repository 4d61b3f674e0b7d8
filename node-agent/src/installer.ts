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
  type Api,
  type Logger,
} from '../../kube/src/index.ts';
import * as addon from '../../native/addon/index.ts';
import {
  cniDirectories,
  cniDirectoryRemover,
  makeCniDirectory,
  makeDirectory,
} from './node/install/cni-directories.ts';
import { findContainerd, majorOf, SOCKET, type Containerd } from './node/install/containerd.ts';
import { criAnswers } from './node/install/cri.ts';
import { NodeDescriber } from './node/install/describer.ts';
import {
  driverLoaded,
  isSealiftsDriver,
  loadDriver,
  loadedAbi,
  loadInfiniBand,
  requireDriver,
  type DriverParts,
  type Kernel,
} from './node/install/driver.ts';
import { noteHandler } from './node/install/handler-note.ts';
import { loadedModules, noteLoaded, presentModules } from './node/install/loaded-modules.ts';
import { oneAtATime } from './node/install/one-at-a-time.ts';
import {
  driverProblemFile,
  notedProblem,
  noteProblem,
  programsProblem,
  programsProblemFile,
  runtimeProblemFile,
} from './node/install/problems.ts';
import { hasRelease, installCni, installRelease } from './node/install/release.ts';
import { knownRuntimeVersion } from './node/install/runtime-version.ts';
import {
  addHandler,
  handOverHandler,
  refuseLeftHandler,
  removeHandler,
  type RuntimeParts,
} from './node/install/runtime-handler.ts';
import {
  refuseWhileKept,
  refuseWhileUsed,
  removeEmptyDirectories,
  removeFiles,
  unloadDriver,
} from './node/install/uninstall.ts';
import { uninstallNodes } from './node/install/uninstall-nodes.ts';
import { PodIp } from './node/pod-ip/pod-ip.ts';
import { publishProblem, withdrawNode } from './node/registration.ts';
import { RdmaDriver } from './node/device/driver.ts';
import { Host } from './node/host/host.ts';
import { sharesKernel } from './support/shared-kernel.ts';
import type { Config } from './support/config.ts';
import { AgentError, reasonOf, type Failure } from './support/errors.ts';

/** What install and uninstall ask of the machine besides its files and programs; tests have one of their own. */
export interface Machine {
  readonly api: () => Api;
  readonly kernel: Kernel;
  readonly loadedAbi: () => Promise<string | undefined>;
  readonly presentModules: () => string[];
  /** @throws AgentError NetnsModeShared */
  readonly checkNetnsMode: () => Promise<void>;
  /** @throws AgentError RuntimeUnsupported */
  readonly findContainerd: () => Promise<Containerd>;
  /** Resolves once the runtime serves the kubelet. @param socket as the agent sees it */
  readonly criAnswers: (socket: string) => Promise<void>;
  readonly clearPodIp: (host: Host) => Promise<void>;
  readonly host: (config: Config) => Host;
}

const realMachine: Machine = {
  ...{ kernel: addon, loadedAbi, presentModules, findContainerd, criAnswers },
  api: () => new Client(new Rest(loadConfig())),
  checkNetnsMode: () => new RdmaDriver().checkNetnsMode(),
  clearPodIp: (host) => new PodIp({ host }).clear(),
  host: (config) => new Host(config.host),
};

/**
 * Puts programs, runtime handler and driver onto the node. The log has what the node refuses, and `nodeDescriber` reports it.
 * @throws what another attempt may mend; the Node object has it meanwhile
 */
export async function install(
  config: Config,
  log: Logger,
  machine: Machine = realMachine,
): Promise<void> {
  try {
    await installAll(config, log, machine);
  } catch (error) {
    // Nobody else would say it on the Node object.
    await publish(config, log, machine, reasonOf(error));
    throw error;
  }
}

const publish = (config: Config, log: Logger, machine: Machine, problem: Failure): Promise<void> =>
  publishProblem(machine.api(), config.nodeName, problem).catch((cause: unknown) =>
    log.warn({ ...reasonOf(cause) }, 'the Node object does not have it'),
  );

async function installAll(config: Config, log: Logger, machine: Machine): Promise<void> {
  const host = machine.host(config);
  await mkdir(config.runDir, { recursive: true });
  if (!config.configureRuntime) await handOverHandler(host, config.stateDir);
  const programsFile = programsProblemFile(config.runDir);
  try {
    const release = await withFaults('install.bundle', () => installPrograms(config, host));
    await noteProblem(programsFile, undefined);
    log.info({ release }, 'bundle installed');
  } catch (error) {
    const problem = programsProblem(error);
    if (!problem) throw error;
    // An init container that fails again and again would keep an update of the DaemonSet from the other nodes.
    await noteProblem(programsFile, problem);
    log.error({ ...problem }, 'the node takes no programs');
    await publish(config, log, machine, problem);
    // What is there of an earlier version goes on, also after a boot: then its driver is not loaded any more. There is nothing to
    // configure for programs that are not there.
    if (hasRelease(host.path(config.installDir))) await installDriver(config, log, machine);
    return;
  }
  if (config.configureRuntime) await configureRuntime(config, log, machine);
  await installDriver(config, log, machine);
}

async function installPrograms(config: Config, host: Host): Promise<string> {
  const { bundleDir, cniBinDir, stateDir } = config;
  await makeDirectory(host, config.installDir);
  const installDir = host.path(config.installDir);
  const release = await installRelease(bundleDir, installDir);
  await makeCniDirectory(host, stateDir, cniBinDir);
  await installCni(installDir, host.path(cniBinDir));
  return release;
}

async function installDriver(config: Config, log: Logger, machine: Machine): Promise<void> {
  const problemFile = driverProblemFile(config.runDir);
  const { kernel } = machine;
  try {
    const host = machine.host(config);
    const modulesDir = host.path(`${config.installDir}/current/modules`);
    const before = machine.presentModules();
    const { names } = await loadedModules(config.runDir);
    let replacedDriver = false;
    let abi;
    try {
      // Where there is no driver, InfiniBand stays as it is: its mode counts for real hardware, too.
      await requireDriver(modulesDir, kernel);
      await loadInfiniBand(host, kernel.moduleLoaded);
      await machine.checkNetnsMode();
      const parts: DriverParts = {
        ...{ host, modulesDir, isOwn: () => isSealiftsDriver(names) },
        // Where it is not known, others may have the kernel, too.
        isShared: async () => (await sharesKernel(machine.api(), config.nodeName)) !== false,
      };
      ({ abi, replacedDriver } = await withFaults('install.driver', () =>
        loadDriver(parts, kernel, machine.loadedAbi),
      ));
    } finally {
      // Also where it ends half way: the uninstall takes out what is there.
      await noteLoaded(config.runDir, before, replacedDriver, machine.presentModules());
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

function runtimeParts(
  config: Config,
  log: Logger,
  machine: Machine,
  containerd: Containerd,
): RuntimeParts {
  const { namespace, nodeName: node, runDir, stateDir } = config;
  const api = machine.api();
  const name = 'sealift-runtime-restart';
  const host = machine.host(config);
  return {
    ...{ host, containerd, runDir, stateDir },
    answers: () => machine.criAnswers(host.path(SOCKET)),
    alone: oneAtATime({ api, log, namespace, name, node }),
  };
}

/** The runtime as the kubelet reports it, e.g. `containerd://2.4.2`. */
async function runtimeVersion(api: Api, nodeName: string): Promise<string> {
  return (await api.get(nodes, '', nodeName)).status.nodeInfo.containerRuntimeVersion;
}

async function configureRuntime(config: Config, log: Logger, machine: Machine): Promise<void> {
  const version = await knownRuntimeVersion(() => runtimeVersion(machine.api(), config.nodeName), {
    clock: realClock,
    log,
  });
  const problemFile = runtimeProblemFile(config.runDir);
  try {
    const major = majorOf(version);
    const options = { handler: config.runtimeHandler, binary: runtimeBinary(config) };
    const parts = runtimeParts(config, log, machine, await machine.findContainerd());
    const outcome = await addHandler(parts, major, options);
    await noteProblem(problemFile, undefined);
    log.info({ outcome }, 'runtime handler');
  } catch (error) {
    // `nodeDescriber` reports it.
    await noteProblem(problemFile, reasonOf(error));
    log.error({ ...reasonOf(error) }, 'runtime handler not configured');
  }
}

/** For a runtime that the installer has refused there is nothing to do, if its files have nothing of Sealift's. */
async function removeRuntimeHandler(config: Config, log: Logger, machine: Machine): Promise<void> {
  // What the installer has added is in its comments then. All else is an administrator's, whatever the note says.
  if (!config.configureRuntime) await noteHandler(config.stateDir, undefined);
  let containerd;
  try {
    containerd = await machine.findContainerd();
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'RuntimeUnsupported') throw error;
    await refuseLeftHandler(machine.host(config), config.stateDir, error);
    log.info({ ...reasonOf(error) }, 'no runtime handler to remove');
    return;
  }
  const outcome = await removeHandler(runtimeParts(config, log, machine, containerd));
  log.info({ outcome }, 'runtime handler removed');
}

/**
 * Takes Sealift off the node.
 * @throws AgentError ContainersLeft, AddressesLeft, HandlerLeft, RuntimeFailed, RuntimeUnsupported; then it may be called again
 */
export async function uninstall(
  config: Config,
  log: Logger,
  machine: Machine = realMachine,
): Promise<void> {
  const host = machine.host(config);
  const { stateDir, runDir } = config;
  await refuseWhileUsed(host, runtimeBinary(config));
  await refuseWhileKept(machine.api());
  await machine.clearPodIp(host);
  await removeRuntimeHandler(config, log, machine);
  // Where it is not known whether other nodes need the driver, it stays.
  const shared = (await sharesKernel(machine.api(), config.nodeName)) !== false;
  const loaded = await loadedModules(runDir);
  const stays = await unloadDriver({ host, shared, loaded }, machine.kernel);
  log.info(
    { ...(stays === undefined ? {} : { because: stays }) },
    `driver ${stays === undefined ? 'unloaded' : 'stays'}`,
  );
  await withdrawNode(machine.api(), config.nodeName);
  const cniBinDirs = (await cniDirectories(stateDir, config.cniBinDir)).map((one) =>
    host.path(one),
  );
  const removeCniDirectories = await cniDirectoryRemover(host, stateDir);
  await removeFiles({ installDir: host.path(config.installDir), stateDir, runDir, cniBinDirs });
  await removeCniDirectories();
  await removeEmptyDirectories(host, [config.installDir, stateDir, runDir]);
  log.info({ node: config.nodeName }, 'Sealift is off this node');
}

/** Lets every node's agent run `uninstall`. @throws AgentError ContainersLeft, RequestsLeft, NodesLeft */
export const uninstallAll = (config: Config, log: Logger): Promise<void> =>
  uninstallNodes(realMachine.api(), log, {
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

/** Says what the node lacks, for as long as the agent runs. */
export function nodeDescriber(config: Config): NodeDescriber {
  const { namespace, nodeName, runDir } = config;
  return new NodeDescriber(
    {
      ...{ host: new Host(config.host), runDir, configured: config.configureRuntime },
      ...{ handler: config.runtimeHandler, binary: runtimeBinary(config) },
      restart: `kubectl delete pod -n ${namespace} -l app.kubernetes.io/component=agent --field-selector spec.nodeName=${nodeName}`,
    },
    {
      ...{ driverLoaded, loadedAbi },
      runtimeVersion: () => runtimeVersion(realMachine.api(), nodeName),
      checkNetnsMode: () => realMachine.checkNetnsMode(),
    },
  );
}

/** Whether `install` has met a node that takes no programs. */
export const takesNoPrograms = async ({ runDir }: Config): Promise<boolean> =>
  (await notedProblem(programsProblemFile(runDir))) !== undefined;
