// SPDX-License-Identifier: Apache-2.0
// The ValidatingWebhookConfiguration. The chart makes it with one webhook, `all`; the operator puts in whom the API server
// is to trust and the secret path, and adds `guard`.
import { isDeepStrictEqual } from 'node:util';
import {
  validatingWebhookConfigurations,
  type Api,
  type Call,
  type ValidatingWebhook,
} from '../../../kube/src/index.ts';
import { GUARD_PATH } from './webhook-server.ts';

/**
 * `all` answers each eviction, with failurePolicy Ignore. `guard` says yes or no to those of pods that are to be moved, with
 * failurePolicy Fail: docs/adr/0022, docs/adr/0028. Where no pod is to be moved there is no `guard`.
 */
export const webhookNames = {
  guard: 'guard.evictions.sealift.dev',
  all: 'evictions.sealift.dev',
} as const;

/** What is to be changed; a field that is absent stays as it is. */
export interface Registration {
  readonly server?: {
    /** In PEM. */
    readonly certificates: string;
    /** Path of the webhook, with its secret part. */
    readonly path: string;
  };
  /** CEL: whether an eviction is of a pod that is to be moved. */
  readonly guard?: string;
}

const nobody = 'false';

/** @returns the webhooks as they are to be; undefined: they are. Pure. */
export function registered(
  webhooks: readonly ValidatingWebhook[],
  { server, guard }: Registration,
): ValidatingWebhook[] | undefined {
  const found = webhooks.find(({ name }) => name === webhookNames.all);
  if (!found) return undefined;
  const before = webhooks.find(({ name }) => name === webhookNames.guard);
  const expression = guard ?? before?.matchConditions?.[0]?.expression ?? nobody;
  // An earlier operator left the guard's pods out of it.
  const { matchConditions: _before, ...all } = { ...found, ...(server && called(found, server)) };
  const after: ValidatingWebhook[] = webhooks
    .filter(({ name }) => name !== webhookNames.guard)
    .map((one) => (one === found ? all : one));
  if (expression !== nobody) {
    const own = { name: webhookNames.guard, failurePolicy: 'Fail', sideEffects: 'None' };
    after.push({
      ...all,
      ...own,
      clientConfig: at(all.clientConfig, GUARD_PATH),
      ...only(expression),
    });
  }
  return isDeepStrictEqual(after, webhooks) ? undefined : after;
}

const only = (expression: string) => ({ matchConditions: [{ name: 'pods', expression }] });

function called(
  { clientConfig }: ValidatingWebhook,
  { certificates, path }: NonNullable<Registration['server']>,
): Pick<ValidatingWebhook, 'clientConfig'> {
  const caBundle = Buffer.from(certificates).toString('base64');
  return { clientConfig: { ...at(clientConfig, path), caBundle } };
}

type ClientConfig = ValidatingWebhook['clientConfig'];

function at(clientConfig: ClientConfig, path: string): ClientConfig {
  const { url, service } = clientConfig;
  return {
    ...clientConfig,
    ...(service && { service: { ...service, path } }),
    ...(typeof url === 'string' && { url: new URL(path, url).href }),
  };
}

/** @throws ApiError `Conflict` if another replica was faster */
export async function register(
  api: Api,
  name: string,
  registration: Registration,
  call: Call,
): Promise<void> {
  const { metadata, webhooks } = await api.get(validatingWebhookConfigurations, '', name, call);
  const after = registered(webhooks, registration);
  if (!after) return;
  const { resourceVersion } = metadata;
  const patch = { metadata: { resourceVersion }, webhooks: after };
  await api.merge(validatingWebhookConfigurations, '', name, patch, call);
}

/** A pod of the guard. */
export interface Guarded {
  readonly namespace: string;
  readonly name: string;
}

/** The API server compiles expressions of up to 100,000 characters (cel-go); the rest is for what stands around the list. */
const maxExpression = 90_000;

/**
 * CEL for the evictions of these pods. An Eviction has neither the labels nor the spec of its pod, so a selector cannot find
 * them: the pods are listed by name, or, when they are too many for one expression, by their namespaces. Pure.
 */
export function guardExpression(pods: readonly Guarded[], most = maxExpression): string {
  const list = (names: readonly string[]): string =>
    `[${[...new Set(names)]
      .sort()
      .map((one) => `'${one}'`)
      .join(',')}]`;
  if (pods.length === 0) return nobody;
  const names = list(pods.map(({ namespace, name }) => `${namespace}/${name}`));
  if (names.length <= most) return `(request.namespace + '/' + request.name) in ${names}`;
  const namespaces = list(pods.map(({ namespace }) => namespace));
  return namespaces.length <= most ? `request.namespace in ${namespaces}` : 'true';
}
