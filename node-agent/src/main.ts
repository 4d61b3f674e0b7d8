// SPDX-License-Identifier: Apache-2.0
// The node agent. `install` puts programs, runtime handler and driver onto the node and ends; `run` serves. `uninstall` takes
// all of it off again, and `idle` waits for the end after that; `uninstall-nodes` lets every node do so.
import { Client, loadConfig, makeLogger, Rest, serveHealth } from '../../kube/src/index.ts';
import { Agent } from './agent.ts';
import { SocketServer } from './callers/socket/server.ts';
import { readConfig, type Config } from './support/config.ts';
import { nodeOperations } from './node/operations.ts';
import { reasonOf } from './support/errors.ts';
import { describeNode, idle, install, uninstall, uninstallAll } from './installer.ts';
import { Journal } from './support/journal/journal.ts';
import { removeIncoming } from './reconcilers/orphan-sweep.ts';
import { publishNode } from './node/registration.ts';

const VERSION = '0.1.0';
const log = makeLogger('sealift-agent');

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
  const described = await describeNode(config);
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
  // Servers that still listen would keep a process alive that serves nobody.
  process.exit(1);
}
