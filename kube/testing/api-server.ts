// SPDX-License-Identifier: Apache-2.0
// A real kube-apiserver with a real etcd on loopback, for tests. Binaries come from
// $SEALIFT_KUBE_BIN, else build/lab/bin. Without them `binaries()` says why the tests skip.
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  accessSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '../src/client.ts';
import { loadConfig } from '../src/config.ts';
import { isAlreadyExists, messageOf } from '../src/errors.ts';
import { migrationRequests, type Resource } from '../src/resource.ts';
import { Rest } from '../src/rest.ts';
import { files, type Manifest } from './definitions.ts';

const startLimitMs = 120_000;
const repository = join(import.meta.dirname, '..', '..');

/** @returns the directory of the binaries, or why there is none. */
export function binaries(): { directory: string; missing?: undefined } | { missing: string } {
  const directory = process.env['SEALIFT_KUBE_BIN'] ?? join(repository, 'build', 'lab', 'bin');
  for (const name of ['etcd', 'kube-apiserver']) {
    try {
      accessSync(join(directory, name), constants.X_OK);
    } catch {
      return { missing: `${join(directory, name)} is not there; set SEALIFT_KUBE_BIN` };
    }
  }
  return { directory };
}

export interface TestServer {
  readonly kubeconfig: string;
  readonly client: Client;
  /** Directory of the binaries: kubectl and helm may be there too. */
  readonly binaries: string;
  /** Address of the server: `https://...`, with a self-signed certificate. */
  readonly url: string;
  /**
   * A further client with connections of its own.
   * @param account `<namespace>:<name>` of a service account, with its rights; absent: an administrator
   */
  connect(account?: string): Client;
  /** Creates an object given as a manifest. */
  create(manifest: Manifest): Promise<void>;
  /** Stops and starts kube-apiserver on the same port; etcd keeps running. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Where the API server listens. Default: loopback. */
  readonly address?: string;
  /** Whether etcd syncs each write to the disk, as it does in a cluster. Default: it does not. */
  readonly isDurable?: boolean;
}

/** Starts both, with the project's CustomResourceDefinitions and the RuntimeClass installed. */
export async function startApiServer(options: ServerOptions = {}): Promise<TestServer> {
  const { address = '127.0.0.1', isDurable = false } = options;
  const found = binaries();
  if (found.missing !== undefined) throw new Error(found.missing);
  const directory = mkdtempSync(join(tmpdir(), 'sealift-api-'));
  const [etcdPort, peerPort, apiPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const etcd = run(directory, join(found.directory, 'etcd'), [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    ...(isDurable ? [] : ['--unsafe-no-fsync']),
    '--log-level=warn',
  ]);
  secrets(directory);
  const kubeconfig = credentials(directory, `${address}:${apiPort}`, 'test-token');
  const start = (): ChildProcess =>
    run(directory, join(found.directory, 'kube-apiserver'), [
      `--etcd-servers=${etcdUrl}`,
      `--cert-dir=${join(directory, 'pki')}`,
      `--bind-address=${address}`,
      `--secure-port=${apiPort}`,
      `--token-auth-file=${join(directory, 'tokens.csv')}`,
      `--service-account-key-file=${join(directory, 'sa.key')}`,
      `--service-account-signing-key-file=${join(directory, 'sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      '--service-cluster-ip-range=10.96.0.0/24',
      '--authorization-mode=RBAC',
      // As clusters have it: the agents are privileged.
      '--allow-privileged=true',
      '--disable-admission-plugins=ServiceAccount',
      '--watch-cache=true',
    ]);
  let server = start();
  const connect = (account?: string): Client => {
    const path =
      account === undefined
        ? kubeconfig
        : credentials(directory, `${address}:${apiPort}`, tokenOf(account));
    return new Client(new Rest(loadConfig(path)));
  };
  const client = connect();
  const stop = async (): Promise<void> => {
    await end(server);
    await end(etcd);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await ready(client, server, directory);
    await install(client);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    binaries: found.directory,
    url: `https://${address}:${apiPort}`,
    kubeconfig,
    client,
    connect,
    create: (manifest) => create(client, manifest),
    restart: async () => {
      await end(server);
      server = start();
      await ready(client, server, directory);
      await served(client);
    },
    stop,
  };
}

async function install(client: Client): Promise<void> {
  for (const manifest of files()) await create(client, manifest);
  for (const { metadata } of files()) await established(client, metadata.name);
  await create(client, {
    apiVersion: 'node.k8s.io/v1',
    kind: 'RuntimeClass',
    metadata: { name: 'sealift' },
    handler: 'sealift',
  });
}

async function create(client: Client, manifest: Manifest): Promise<void> {
  const resource: Resource<unknown> = {
    apiVersion: manifest.apiVersion,
    kind: manifest.kind,
    plural: plural(manifest.kind),
    namespaced: manifest.metadata.namespace !== undefined,
    parse: (json) => json,
  };
  await client.create(resource, manifest.metadata.namespace ?? '', manifest);
}

function plural(kind: string): string {
  const lower = kind.toLowerCase();
  return lower.endsWith('s') ? `${lower}es` : `${lower}s`;
}

async function established(client: Client, name: string): Promise<void> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
  for (;;) {
    const body = (await client.rest.request({ method: 'GET', path })) as {
      status?: { conditions?: { type: string; status: string; message: string }[] };
    };
    const conditions = body.status?.conditions ?? [];
    const bad = conditions.find(
      (one) => one.type === 'NonStructuralSchema' && one.status === 'True',
    );
    if (bad) throw new Error(`${name}: ${bad.message}`);
    if (conditions.some((one) => one.type === 'Established' && one.status === 'True')) return;
    await sleep(100);
  }
}

async function ready(client: Client, server: ChildProcess, directory: string): Promise<void> {
  const limit = Date.now() + startLimitMs;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`kube-apiserver ended:\n${log(directory)}`);
    try {
      // The server creates the default namespace after it reports that it is ready.
      await client.rest.request({
        method: 'GET',
        path: '/api/v1/namespaces/default',
        timeoutMs: 2000,
      });
      return;
    } catch (error) {
      if (Date.now() > limit)
        throw new Error(`${messageOf(error)}\n${log(directory)}`, { cause: error });
      await sleep(200);
    }
  }
}

/** After a restart the server serves its own kinds before those of the definitions. */
async function served(client: Client): Promise<void> {
  const limit = Date.now() + startLimitMs;
  for (;;) {
    try {
      await client.list(migrationRequests, { namespace: 'default' });
      return;
    } catch (error) {
      if (Date.now() > limit) throw error;
      await sleep(200);
    }
  }
}

function run(directory: string, command: string, args: string[]): ChildProcess {
  const out = openSync(join(directory, 'log'), 'a');
  // It ends with the test process, however that ends.
  const tied = ['--pdeathsig', 'KILL', command, ...args];
  return spawn('setpriv', tied, { stdio: ['ignore', out, out], cwd: directory });
}

function log(directory: string): string {
  return readFileSync(join(directory, 'log'), 'utf8').slice(-3000);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** Service accounts that tests act as. */
const accounts = ['sealift:sealift-operator', 'sealift:sealift-agent'];
const tokenOf = (account: string): string => `token-${account.replace(':', '-')}`;

function secrets(directory: string): void {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(directory, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const users = accounts.map((one) => `${tokenOf(one)},system:serviceaccount:${one},${one}`);
  const lines = ['test-token,admin,admin,system:masters', ...users];
  writeFileSync(join(directory, 'tokens.csv'), `${lines.join('\n')}\n`);
}

function credentials(directory: string, server: string, token: string): string {
  const path = join(directory, `kubeconfig-${token}`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [
      {
        name: 'test',
        cluster: { server: `https://${server}`, 'insecure-skip-tls-verify': true },
      },
    ],
    users: [{ name: 'test', user: { token } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** A TCP port of loopback that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Creates the object unless it exists. */
export async function ensure(server: TestServer, manifest: Manifest): Promise<void> {
  try {
    await server.create(manifest);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
