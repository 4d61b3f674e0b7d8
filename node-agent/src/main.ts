// SPDX-License-Identifier: Apache-2.0
// The node agent. `install` puts programs, runtime handler and driver onto the node and ends; `run` serves. `uninstall` takes
// all of it off again, and `idle` waits for the end after that; `uninstall-nodes` lets every node do so.
import {
  Client,
  loadConfig,
  makeLogger,
  nodes,
  Rest,
  serveHealth,
  withFaults,
} from '../../kube/src/index.ts';
import { Agent } from './agent.ts';
import { SocketServer } from './callers/socket/server.ts';
import { readConfig, type Config } from './support/config.ts';
import { nodeOperations } from './node/operations.ts';
import { reasonOf, type Failure } from './support/errors.ts';
import { Host } from './node/host/host.ts';
import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { installRelease, installCni } from './node/install/release.ts';
import { findContainerd, majorOf } from './node/install/containerd.ts';
import { driverLoaded, loadDriver, loadedAbi } from './node/install/driver.ts';
import { oneAtATime } from './node/install/one-at-a-time.ts';
import { multusProblem, runtimeProblem } from './node/install/problems.ts';
import { addHandler, removeHandler, type RuntimeParts } from './node/install/runtime-handler.ts';
import {
  LOADED_MARK,
  refuseWhileUsed,
  removeEmptyFolders,
  removeFiles,
  unloadDriver,
} from './node/install/uninstall.ts';
import { uninstallNodes } from './node/install/uninstall-nodes.ts';
import { Journal } from './support/journal/journal.ts';
import { removeIncoming } from './reconcilers/orphan-sweep.ts';
import { publishNode, withdrawNode } from './node/registration.ts';
import { RdmaDriver } from './node/device/driver.ts';

const VERSION = '0.1.0';
const log = makeLogger('sealift-agent');

async function install(config: Config): Promise<void> {
  const release = await withFaults('install.bundle', async () => {
    const installed = await installRelease(config.bundleDir, config.installDir);
    await installCni(config.installDir, config.cniBinDir);
    return installed;
  });
  log.info({ release }, 'bundle installed');
  if (config.configureRuntime) await configureRuntime(config);
  try {
    await new RdmaDriver().checkNetnsMode();
    const before = driverLoaded();
    const abi = await withFaults('install.driver', () =>
      loadDriver(new Host(config.host), `${config.installDir}/modules`),
    );
    if (!before) {
      await mkdir(config.runDir, { recursive: true });
      await writeFile(join(config.runDir, LOADED_MARK), '');
    }
    log.info({ abi }, 'driver loaded');
  } catch (error) {
    // The node then has no label and no pod is moved to or from it; pods that do not ask for Sealift are not hurt.
    log.error({ ...reasonOf(error) }, 'driver not available');
  }
}

/** Path of the OCI wrapper on the node. */
const runtimeBinary = (config: Config): string => `${config.installDir}/bin/sealift-runc`;

async function runtimeParts(config: Config): Promise<RuntimeParts> {
  const { namespace, nodeName: node, runDir } = config;
  const api = new Client(new Rest(loadConfig()));
  const name = 'sealift-runtime-restart';
  return {
    ...{ host: new Host(config.host), containerd: await findContainerd(), runDir },
    alone: oneAtATime({ api, log, namespace, name, node }),
  };
}

/** The runtime as the kubelet reports it, e.g. `containerd://2.4.2`. */
async function runtimeVersion(config: Config): Promise<string> {
  const api = new Client(new Rest(loadConfig()));
  return (await api.get(nodes, '', config.nodeName)).status.nodeInfo.containerRuntimeVersion;
}

async function configureRuntime(config: Config): Promise<void> {
  try {
    const major = majorOf(await runtimeVersion(config));
    const options = { handler: config.runtimeHandler, binary: runtimeBinary(config) };
    const outcome = await addHandler(await runtimeParts(config), major, options);
    log.info({ outcome }, 'runtime handler');
  } catch (error) {
    // `run` says so on the Node object.
    log.error({ ...reasonOf(error) }, 'runtime handler not configured');
  }
}

/** Other nodes of the cluster have the same kernel. */
async function sharesKernel(config: Config): Promise<boolean> {
  const api = new Client(new Rest(loadConfig()));
  const all = (await api.list(nodes)).items.map((item) => nodes.parse(item));
  const own = all.find((node) => node.metadata.name === config.nodeName)?.status.nodeInfo.bootID;
  return all.filter((node) => node.status.nodeInfo.bootID === own).length > 1;
}

async function uninstall(config: Config): Promise<void> {
  const host = new Host(config.host);
  await refuseWhileUsed(host, runtimeBinary(config));
  log.info({ outcome: await removeHandler(await runtimeParts(config)) }, 'runtime handler removed');
  const loadedHere = existsSync(join(config.runDir, LOADED_MARK));
  const stays = await unloadDriver({ loadedHere, shared: await sharesKernel(config) });
  log.info(
    { ...(stays === undefined ? {} : { because: stays }) },
    `driver ${stays === undefined ? 'unloaded' : 'stays'}`,
  );
  await withdrawNode(new Client(new Rest(loadConfig())), config.nodeName);
  // Last: sealift-host, with which the agent runs the host's programs, is among the files.
  await removeFiles(config);
  await removeEmptyFolders(host, [config.installDir, config.stateDir, config.runDir]);
  log.info({ node: config.nodeName }, 'Sealift is off this node');
}

/** After `uninstall`, until the DaemonSet is deleted. */
async function idle(config: Config): Promise<void> {
  const health = await serveHealth(config.metricsPort, () => true);
  await new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve());
  });
  await health.close();
}

/** What this node lacks: what keeps every pod from being moved first. An ABI only if nothing does. */
async function describe(
  config: Config,
): Promise<{ driverAbi: string | undefined; problem: Failure | undefined }> {
  const host = new Host(config.host);
  try {
    await new RdmaDriver().checkNetnsMode();
    const driverAbi = await loadedAbi();
    if (driverAbi === undefined)
      return { driverAbi, problem: { code: 'DriverMissing', message: NO_DRIVER } };
    const runtime = config.configureRuntime
      ? await runtimeProblem(host, await runtimeVersion(config), config.runtimeHandler)
      : undefined;
    if (runtime) return { driverAbi: undefined, problem: runtime };
    return { driverAbi, problem: await multusProblem(host) };
  } catch (error) {
    return { driverAbi: undefined, problem: reasonOf(error) };
  }
}

const NO_DRIVER =
  "Sealift's rdma_rxe is not loaded on this node. The log of the agent's init container says why.";

async function run(config: Config): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const api = new Client(new Rest(loadConfig()));
  const { journal, unreadable } = await Journal.open(config.journalDir);
  if (unreadable.length > 0) log.error({ unreadable }, 'journal files cannot be read');
  await removeIncoming(config.checkpointDir);
  const agent = new Agent({
    api,
    config,
    journal,
    log,
    node: nodeOperations(config, VERSION, log),
    socket: (handlers) => {
      const server = new SocketServer(handlers, log);
      return { listen: () => server.listen(config.socketPath), close: () => server.close() };
    },
  });
  const health = await serveHealth(config.metricsPort, () => agent.synced);
  const serving = agent.run(stop.signal);
  const described = await describe(config);
  if (described.problem) log.error({ ...described.problem }, 'this node lacks something');
  const node = { name: config.nodeName, address: config.address, ...described };
  await Promise.race([publishUntilDone(api, node, stop.signal), serving]);
  await serving;
  await health.close();
}

async function publishUntilDone(
  api: Client,
  node: Parameters<typeof publishNode>[1],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await publishNode(api, node);
      return;
    } catch (error) {
      log.warn({ ...reasonOf(error) }, 'cannot describe this node yet');
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

const command = process.argv[2] ?? 'run';
const commands: Record<string, (config: Config) => Promise<void>> = {
  ...{ install, run, uninstall, idle },
  'uninstall-nodes': (config) =>
    uninstallNodes(new Client(new Rest(loadConfig())), log, {
      namespace: config.namespace,
      name: process.env['SEALIFT_DAEMONSET'] ?? 'sealift-agent',
    }),
};
try {
  const chosen = commands[command];
  if (!chosen) throw new Error(`usage: ${Object.keys(commands).join(' | ')}`);
  await chosen(readConfig(process.env));
} catch (error) {
  log.fatal({ err: error, ...reasonOf(error) }, 'agent ended');
  // Servers that still listen would keep a process alive that serves nobody.
  process.exit(1);
}
