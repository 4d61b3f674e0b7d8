// SPDX-License-Identifier: Apache-2.0
// Evictions, and the webhook that answers them: what the suites of evictions have in common.
import { afterAll, beforeAll } from 'vitest';
import { annotations } from '../../crds/src/index.ts';
import {
  ApiError,
  secrets,
  silent,
  validatingWebhookConfigurations,
} from '../../kube/src/index.ts';
import { render } from '../../kube/testing/chart.ts';
import { EvictionWebhook } from '../src/evictions/webhook.ts';
import type { Cluster } from './cluster.ts';

export const MIGRATE = { [annotations.eviction]: 'migrate' };
export const WEBHOOK_CONFIGURATION = 'sealift-evictions';
const SECRET = 'sealift-webhook-ca';

interface Webhook {
  readonly webhook: EvictionWebhook;
  readonly stop: () => Promise<void>;
}

/** `evicted`, or the code, the reason and the message of the answer. */
export async function evict(
  c: Cluster,
  name: string,
  options: object = {},
  where = 'default',
): Promise<string> {
  try {
    await c.client.rest.request({
      method: 'POST',
      path: `/api/v1/namespaces/${where}/pods/${name}/eviction`,
      // The API server itself waits 10 s for the webhook.
      timeoutMs: 60_000,
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name }, ...options },
    });
    return 'evicted';
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return `${error.status} ${error.code}: ${error.message}`;
  }
}

/** The chart's configuration, with this process in place of the Service. @returns undefined where there is no helm */
async function startWebhook(c: Cluster): Promise<Webhook | undefined> {
  const manifests = render(c.server, 'evictions.yaml');
  if (!manifests) return undefined;
  const webhook = new EvictionWebhook({
    api: c.operator,
    log: silent,
    namespace: 'sealift',
    ...{
      port: 0,
      configuration: WEBHOOK_CONFIGURATION,
      secret: SECRET,
      dnsName: 'localhost',
    },
  });
  const port = await webhook.listen();
  for (const one of manifests) {
    if (one.kind === 'Service') continue;
    await c.server.create(JSON.parse(JSON.stringify(one), withUrl(port)) as typeof one);
  }
  const stop = new AbortController();
  const running = webhook.run(stop.signal);
  return {
    webhook,
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

/** The webhook for the time of a suite. @returns it; undefined where there is no helm */
export function withWebhook(cluster: () => Cluster): () => Webhook | undefined {
  let hook: Webhook | undefined;
  beforeAll(async () => {
    hook = await startWebhook(cluster());
  });
  afterAll(async () => {
    await hook?.stop();
    const c = cluster();
    await c.client.delete(validatingWebhookConfigurations, '', WEBHOOK_CONFIGURATION);
    // The next suite begins as an installation does.
    await c.client.delete(secrets, 'sealift', SECRET);
  });
  return () => hook;
}

const withUrl = (port: number) => (key: string, value: unknown) =>
  key === 'clientConfig' ? { url: `https://localhost:${port}/` } : value;
