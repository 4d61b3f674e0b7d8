// SPDX-License-Identifier: Apache-2.0
// The node agent. `install` puts programs and driver onto the node and ends; `run` serves.
import {
  Client,
  loadConfig,
  makeLogger,
  realClock,
  Rest,
  serveHealth,
  withFaults,
} from '../../kube/src/index.ts';
import { Agent } from './agent.ts';
import { SocketServer } from './callers/socket/server.ts';
import { readConfig, type Config } from './support/config.ts';
import { nodeOperations } from './node/operations.ts';
import { AgentError, reasonOf } from './support/errors.ts';
import { Host } from './node/host/host.ts';
import { installRelease, installCni } from './node/install/release.ts';
import { isLoaded, loadDriver, loadedAbi } from './node/install/driver.ts';
import { Journal } from './support/journal/journal.ts';
import { removeIncoming } from './reconcilers/orphan-sweep.ts';
import { Registration } from './node/registration.ts';
import { RdmaDriver } from './node/device/driver.ts';
import { readyChecks } from './readiness.ts';

const VERSION = '0.1.0';
const log = makeLogger('sealift-agent');

async function install(config: Config): Promise<void> {
  const release = await withFaults('install.bundle', async () => {
    const installed = await installRelease(config.bundleDir, config.installDir);
    await installCni(config.installDir, config.cniBinDir);
    return installed;
  });
  log.info({ release }, 'bundle installed');
  try {
    await new RdmaDriver().checkNetnsMode();
    const abi = await withFaults('install.driver', () =>
      loadDriver(new Host(config.host), `${config.installDir}/modules`),
    );
    log.info({ abi }, 'driver loaded');
  } catch (error) {
    // The node then has no label and no pod is moved to or from it; pods that do not ask for Sealift are not hurt.
    log.error({ ...reasonOf(error) }, 'driver not available');
  }
}

/** @throws AgentError that says what to do, if this node cannot take part */
async function driverAbi(known: string | undefined): Promise<string> {
  await new RdmaDriver().checkNetnsMode();
  // Only a device of the driver tells the ABI: none is made for each renewal of the Lease.
  const abi = known !== undefined && isLoaded() ? known : await loadedAbi();
  if (abi !== undefined) return abi;
  throw new AgentError(
    'DriverMissing',
    "Sealift's rdma_rxe is not loaded. See the log of the init container of the agent's pod.",
  );
}

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
  const { nodeName, address, namespace } = config;
  const registration = new Registration({
    ...{ api, log, clock: realClock, nodeName, address, namespace, driverAbi },
  });
  const { leaseProblem, driverProblem } = registration;
  const isSynced = (): boolean => agent.synced;
  const health = await serveHealth(
    config.metricsPort,
    readyChecks({ config, isSynced, leaseProblem, driverProblem }),
  );
  await Promise.all([agent.run(stop.signal), registration.run(stop.signal)]);
  await health.close();
}

const command = process.argv[2] ?? 'run';
const commands: Record<string, (config: Config) => Promise<void>> = { install, run };
try {
  const chosen = commands[command];
  if (!chosen) throw new Error(`usage: ${Object.keys(commands).join(' | ')}`);
  await chosen(readConfig(process.env));
} catch (error) {
  log.fatal({ err: error, ...reasonOf(error) }, 'agent ended');
  // Servers that still listen would keep a process alive that has no work.
  process.exit(1);
}
