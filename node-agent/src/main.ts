// SPDX-License-Identifier: Apache-2.0
// The node agent. `install` puts programs, runtime handler and driver onto the node and ends; `run` serves. `uninstall` takes
// all of it off again, and `idle` waits for the end after that; `uninstall-nodes` lets every node do so.
import { existsSync } from 'node:fs';
import {
  Client,
  loadConfig,
  makeLogger,
  realClock,
  Rest,
  serveHealth,
} from '../../kube/src/index.ts';
import { Agent } from './agent.ts';
import { SocketServer } from './callers/socket/server.ts';
import { readConfig, type Config } from './support/config.ts';
import { completionVectors } from './node/host/completion-vectors.ts';
import { cpuFeatures } from './node/host/cpu-features.ts';
import { securityModules } from './node/host/security-modules.ts';
import { AgentCertificate } from './node/certificates/agent-certificate.ts';
import { nodeOperations } from './node/operations.ts';
import { PodNetworkCheck } from './node/pod-ip/pod-network-check.ts';
import { reasonOf } from './support/errors.ts';
import {
  idle,
  install,
  nodeDescriber,
  takesNoPrograms,
  uninstall,
  uninstallAll,
} from './installer.ts';
import { Host } from './node/host/host.ts';
import { Journal } from './support/journal/journal.ts';
import { removeIncoming } from './reconcilers/orphan-sweep.ts';
import { Registration } from './node/registration.ts';
import { readyChecks } from './readiness.ts';

const VERSION = '0.1.0';
const log = makeLogger('sealift-agent');

/** An agent that cannot keep a journal serves nobody. It says why on the Node object, until its node is mended. */
async function report(config: Config, signal: AbortSignal): Promise<void> {
  const { nodeName, address, namespace } = config;
  const describer = nodeDescriber(config);
  const registration = new Registration({
    ...{ api: new Client(new Rest(loadConfig())), log, clock: realClock },
    ...{ nodeName, address, namespace },
    describe: () => describer.describe(),
  });
  const { leaseProblem, nodeProblem } = registration;
  const health = await serveHealth(config.metricsPort, {
    'API server': leaseProblem,
    node: nodeProblem,
  });
  await registration.run(signal);
  await health.close();
}

/** What the agent does between the wish that it ends and its end. */
interface Ending {
  finish: () => Promise<void>;
}

async function run(config: Config): Promise<void> {
  const stop = new AbortController();
  const ending: Ending = { finish: () => Promise.resolve() };
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => void ending.finish().finally(() => stop.abort()));
  const { signal } = stop;
  const opened = await Journal.open(config.journalDir).catch(async (error: unknown) => {
    // A disk without room for the programs may have none for a directory, either. Where there is one, requests may be under way:
    // then the next attempt has to open it.
    if (existsSync(config.journalDir) || !(await takesNoPrograms(config))) throw error;
    log.error({ ...reasonOf(error) }, 'no journal: this agent only reports');
  });
  if (opened) await serve(config, opened, { signal, ending });
  else await report(config, signal);
}

async function serve(
  config: Config,
  { journal, unreadable }: Awaited<ReturnType<typeof Journal.open>>,
  { signal, ending }: { signal: AbortSignal; ending: Ending },
): Promise<void> {
  const api = new Client(new Rest(loadConfig()));
  if (unreadable.length > 0) log.error({ unreadable }, 'journal files cannot be read');
  await removeIncoming(config.checkpointDir);
  const node = nodeOperations(config, VERSION, log);
  const agent = new Agent({
    api,
    config,
    journal,
    log,
    node,
    socket: (handlers) => {
      const server = new SocketServer(handlers, log);
      return { listen: () => server.listen(config.socketPath), close: () => server.close() };
    },
  });
  ending.finish = () => agent.finish();
  const { nodeName, address, namespace } = config;
  const { podIp } = node;
  const podNetwork =
    podIp && config.podNetwork
      ? new PodNetworkCheck({
          ...{ api, clock: realClock, nodeName, ...config.podNetwork },
          look: () => podIp.look(),
        })
      : undefined;
  const describer = nodeDescriber(config);
  const registration = new Registration({
    ...{ api, log, clock: realClock, nodeName, address, namespace },
    memory: node.memory,
    cpuFeatures: await cpuFeatures(),
    completionVectors: await completionVectors(),
    securityModules: await securityModules(),
    describe: () => describer.describe(),
    podNetwork: podNetwork && ((signal) => podNetwork.describe(signal)),
  });
  const certificate = new AgentCertificate({
    ...{ api, log, clock: realClock, nodeName, namespace },
    dir: config.tlsDir,
  });
  const { leaseProblem, nodeProblem } = registration;
  const { problem: certificateProblem } = certificate;
  const host = new Host(config.host);
  const requestsProblem = (): string | undefined => agent.problem;
  const health = await serveHealth(
    config.metricsPort,
    readyChecks({
      ...{ requestsProblem, leaseProblem, nodeProblem, certificateProblem },
      config: {
        installDir: host.path(config.installDir),
        cniBinDir: host.path(config.cniBinDir),
        socketPath: config.socketPath,
      },
      takesNoFiles: () => takesNoPrograms(config),
    }),
  );
  await Promise.all([agent.run(signal), registration.run(signal), certificate.run(signal)]);
  await health.close();
}

const command = process.argv[2] ?? 'run';
const commands: Record<string, (config: Config) => Promise<void>> = {
  run,
  idle,
  install: (config) => install(config, log),
  uninstall: (config) => uninstall(config, log),
  'uninstall-nodes': (config) => uninstallAll(config, log),
};
try {
  const chosen = commands[command];
  if (!chosen) throw new Error(`usage: ${Object.keys(commands).join(' | ')}`);
  await chosen(readConfig(process.env));
} catch (error) {
  log.fatal({ err: error, ...reasonOf(error) }, 'agent ended');
  // Servers that still listen would keep a process alive that has no work.
  process.exit(1);
}
