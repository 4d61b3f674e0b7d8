// SPDX-License-Identifier: Apache-2.0
// The node agent as a process, as node-agent/src/main.ts starts it, but without its registration: a node of the native part
// has no RDMA driver, which the registration would report.
import { Client, loadConfig, makeLogger } from '../../kube/src/index.ts';
import { Agent } from '../../node-agent/src/agent.ts';
import { SocketServer } from '../../node-agent/src/callers/socket/server.ts';
import { nodeOperations } from '../../node-agent/src/node/operations.ts';
import { readConfig } from '../../node-agent/src/support/config.ts';
import { Journal } from '../../node-agent/src/support/journal/journal.ts';
import { RecordingRest } from '../src/api-log.ts';

const log = makeLogger('sealift-agent');
const config = readConfig(process.env);
const file = process.env['BENCH_SPANS'] ?? '/dev/null';
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
const { journal } = await Journal.open(config.journalDir);
const agent = new Agent({
  api: new Client(new RecordingRest(loadConfig(), { file, lane: `agent ${config.nodeName}` })),
  config,
  journal,
  log,
  node: nodeOperations(config, 'bench', log),
  socket: (handlers) => {
    const server = new SocketServer(handlers, log);
    return { listen: () => server.listen(config.socketPath), close: () => server.close() };
  },
});
await agent.run(stop.signal);
process.exit(0);
