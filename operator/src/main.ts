// SPDX-License-Identifier: Apache-2.0
// The operator's process: flags, wiring, signals.
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import {
  Client,
  LeaderElector,
  loadConfig,
  makeLogger,
  namespaceOf,
  Rest,
  serveHealth,
} from '../../kube/src/index.ts';
import { EvictionWebhook, webhookOptionsFrom } from './evictions/webhook.ts';
import { limitsFrom } from './moves/limits-config.ts';
import { Operator } from './operator.ts';
import { sharedHostPathsFrom } from './target-pod/shared-host-paths.ts';

const { values: flags } = parseArgs({ options: { kubeconfig: { type: 'string' } } });
const log = makeLogger('sealift-operator');
const identity = process.env['POD_NAME'] ?? hostname();
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

try {
  const config = loadConfig(flags.kubeconfig);
  const api = new Client(new Rest(config, 'sealift-operator'));
  const limits = limitsFrom(process.env);
  const namespace = process.env['POD_NAMESPACE'] ?? namespaceOf(config);
  const agentAccount = process.env['SEALIFT_AGENT_ACCOUNT'];
  const imageKeySecret = process.env['SEALIFT_IMAGE_KEY_SECRET'];
  const elector = new LeaderElector({ api, log, identity, namespace, name: 'sealift-operator' });
  const webhookOptions = webhookOptionsFrom(process.env);
  const operator = new Operator({
    ...{ api, log, limits, namespace, agentAccount, imageKeySecret },
    webhookConfiguration: webhookOptions?.configuration,
    sharedHostPaths: sharedHostPathsFrom(process.env),
    nodeName: process.env['NODE_NAME'],
  });
  const webhook = webhookOptions && new EvictionWebhook({ api, log, namespace, ...webhookOptions });
  await webhook?.listen();
  const answering = webhook?.run(stop.signal);
  let isLeading = false;
  const health = await serveHealth(Number(process.env['SEALIFT_METRICS_PORT'] ?? 7462), {
    'API server': () => elector.unreachable(),
    // A process that does not lead has no caches.
    caches: () => (isLeading ? operator.problem : undefined),
    'eviction webhook': () => webhook?.problem(),
  });
  const ending = await elector.run((signal) => {
    isLeading = true;
    return operator.run(signal);
  }, stop.signal);
  stop.abort();
  await Promise.all([health.close(), answering]);
  // A process that has lost the lease must end before the next leader acts; the kubelet starts it again.
  process.exit(ending === 'lost' ? 1 : 0);
} catch (error) {
  log.fatal({ error }, 'operator ended');
  process.exit(1);
}
