// SPDX-License-Identifier: Apache-2.0
// Where the API server is and who we are: a kubeconfig file, or the pod's service account.
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { TerminalError } from './errors.ts';

export interface ClusterConfig {
  readonly server: string;
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  readonly insecure?: boolean | undefined;
  readonly serverName?: string | undefined;
  /** Asked for every request: service-account tokens are renewed on disk. */
  readonly token?: (() => string | undefined) | undefined;
  /** The namespace that this process is in, or the context's. */
  readonly namespace: string;
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';
const tokenLifeMs = 60_000;

/**
 * @param path a kubeconfig file; absent: $KUBECONFIG, else the service account of the pod.
 * @throws TerminalError `NoCluster` or `BadKubeconfig`, saying what is missing.
 */
export async function loadConfig(path?: string): Promise<ClusterConfig> {
  const file = path ?? process.env['KUBECONFIG'];
  return file ? fromFile(file) : fromServiceAccount();
}

function fromServiceAccount(): ClusterConfig {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (!host) {
    throw new TerminalError('NoCluster', 'neither --kubeconfig, KUBECONFIG nor a service account');
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(join(accountFolder, 'ca.crt')),
    token: tokenFile(join(accountFolder, 'token')),
    namespace: readFileSync(join(accountFolder, 'namespace'), 'utf8').trim(),
  };
}

function tokenFile(path: string): () => string {
  let token = '';
  let readAt = -Infinity;
  return () => {
    if (performance.now() - readAt > tokenLifeMs) {
      token = readFileSync(path, 'utf8').trim();
      readAt = performance.now();
    }
    return token;
  };
}

interface Named<K extends string, V> {
  name: string;
  entry: Record<K, V>;
}
type Fields = Record<string, unknown>;

async function fromFile(path: string): Promise<ClusterConfig> {
  const text = readFileSync(path, 'utf8');
  // Loaded only here: inside a cluster nothing parses YAML.
  const { parse } = await import('yaml');
  const doc = parse(text) as Fields;
  const context = find(doc, 'contexts', 'context', string(doc, 'current-context'));
  const cluster = find(doc, 'clusters', 'cluster', string(context, 'cluster'));
  const user = find(doc, 'users', 'user', string(context, 'user'));
  if (user['exec'] !== undefined || user['auth-provider'] !== undefined) {
    throw new TerminalError(
      'BadKubeconfig',
      'use a token or a client certificate: exec and auth-provider are not supported',
    );
  }
  const folder = dirname(path);
  const server = string(cluster, 'server');
  if (server === undefined) throw new TerminalError('BadKubeconfig', 'the cluster has no server');
  const token = string(user, 'token');
  const tokenPath = string(user, 'tokenFile');
  return {
    server: server.replace(/\/+$/, ''),
    ca: data(cluster, 'certificate-authority', folder),
    cert: data(user, 'client-certificate', folder),
    key: data(user, 'client-key', folder),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    serverName: string(cluster, 'tls-server-name'),
    token:
      token !== undefined
        ? () => token
        : tokenPath !== undefined
          ? tokenFile(resolve(folder, tokenPath))
          : undefined,
    namespace: string(context, 'namespace') ?? 'default',
  };
}

function find(doc: Fields, list: string, entry: string, name: string | undefined): Fields {
  const items = Array.isArray(doc[list]) ? (doc[list] as Named<string, unknown>[]) : [];
  const found = items.find((item) => item.name === name) as Fields | undefined;
  if (!found)
    throw new TerminalError('BadKubeconfig', `no entry ${name ?? '(unnamed)'} in ${list}`);
  return (found[entry] ?? {}) as Fields;
}

function string(fields: Fields, key: string): string | undefined {
  const value = fields[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function data(fields: Fields, key: string, folder: string): Buffer | undefined {
  const inline = string(fields, `${key}-data`);
  if (inline !== undefined) return Buffer.from(inline, 'base64');
  const path = string(fields, key);
  return path !== undefined ? readFileSync(resolve(folder, path)) : undefined;
}

const resolve = (folder: string, path: string): string =>
  isAbsolute(path) ? path : join(folder, path);
