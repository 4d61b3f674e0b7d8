// SPDX-License-Identifier: Apache-2.0
// A real operator of somebody else's that makes pods (JobSet's, LeaderWorkerSet's, MPIJob's), beside the real API server: its own
// program with its own definitions and webhooks. `make lab-operators` builds all three.
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { freePort } from '../../kube/testing/api-server.ts';
import type { Manifest } from '../../kube/testing/definitions.ts';
import { makeIssuer, signerOf } from '../src/certificates/authority.ts';
import { signServer } from '../src/certificates/x509.ts';
import type { Cluster } from './cluster.ts';

const HOUR_MS = 3_600_000;
const START_LIMIT_MS = 60_000;

/** How such an operator is started. */
interface Start {
  readonly name: 'jobset' | 'lws' | 'mpi-operator';
  /** API version of its configuration file; undefined: it has flags only, and no webhooks. */
  readonly configuration?: string;
  readonly flags?: readonly string[];
  /** A port that it takes, and that cannot be changed. */
  readonly port?: number;
}

export const starts = {
  jobSet: { name: 'jobset', configuration: 'config.jobset.x-k8s.io/v1alpha1' },
  leaderWorkerSet: { name: 'lws', configuration: 'config.lws.x-k8s.io/v1alpha1' },
  mpi: {
    name: 'mpi-operator',
    flags: ['--lock-namespace=default', '--kube-api-qps=100', '--kube-api-burst=200'],
    port: 8080,
  },
} as const satisfies Record<string, Start>;

const wanted = new URL('../../e2e/lab/go/operators/go.mod', import.meta.url);

/** Why tests with it cannot run, by the directory of the API server's programs; undefined: they can. */
export const lackOf =
  ({ name }: Start) =>
  (directory: string): string | undefined => {
    const at = (file: string): string => join(directory, 'operators', file);
    const [program, modules] = [at(name), at('go.mod')] as const;
    const how = 'make lab-operators builds it';
    if (!existsSync(program)) return `no operators/${name} beside the API server: ${how}`;
    const isOther =
      !existsSync(modules) || readFileSync(modules, 'utf8') !== readFileSync(wanted, 'utf8');
    return isOther ? `operators/${name} is of another version than go.mod says: ${how}` : undefined;
  };

type Webhooks = Manifest & { webhooks: { clientConfig: { service?: { path: string } } }[] };

/** One for the suite that calls this: it runs from the first test to the last, if its program is there. */
export function suiteOperator(cluster: () => Cluster, start: Start): () => OthersOperator {
  let operator: OthersOperator;
  beforeAll(async () => {
    operator = new OthersOperator(cluster(), start);
    await operator.start();
  }, 120_000);
  afterAll(() => operator.stop(), 60_000);
  return () => operator;
}

export class OthersOperator {
  readonly #c: Cluster;
  readonly #start: Start;
  readonly #directory: string;
  readonly #scratch = mkdtempSync(join(tmpdir(), 'sealift-other-'));
  /** API paths of the webhook configurations that are installed. */
  readonly #hooks: string[] = [];
  #child: ChildProcess | undefined;
  #isTaken = false;

  constructor(c: Cluster, start: Start) {
    this.#c = c;
    this.#start = start;
    this.#directory = join(c.server.binaries, 'operators');
  }

  get #path(): string {
    return join(this.#directory, this.#start.name);
  }

  /** Why a test that needs it is skipped; undefined: it runs. */
  get lack(): string | undefined {
    const { name, port } = this.#start;
    return this.#isTaken ? `port ${port}, which ${name} needs, is taken` : undefined;
  }

  async start(): Promise<void> {
    const { port } = this.#start;
    this.#isTaken = port !== undefined && (await isOpen(port));
    if (this.lack !== undefined) return;
    for (const one of this.#manifests('CustomResourceDefinition')) {
      await this.#c.server.create(one);
      await this.#established(one.metadata.name);
    }
    const hookPort = await freePort();
    const authority = this.#certificates();
    const out = openSync(join(this.#scratch, 'log'), 'a');
    const { flags = [] } = this.#start;
    const args = [...flags, ...this.#configure(hookPort)];
    // It ends with this process.
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', this.#path, ...args], {
      env: { KUBECONFIG: this.#c.server.kubeconfig, HOME: this.#scratch },
      cwd: this.#scratch,
      stdio: ['ignore', out, out],
    });
    if (this.#start.configuration === undefined) return;
    await this.#until(`${this.#start.name} answers`, () => isOpen(hookPort));
    await this.#installHooks(hookPort, authority);
  }

  /** Kills it, as the crash of its node would. Its webhooks are uninstalled before: the API server would refuse all pods. */
  async stop(): Promise<void> {
    for (const path of this.#hooks.splice(0))
      await this.#c.client.rest.request({ method: 'DELETE', path });
    const child = this.#child;
    this.#child = undefined;
    if (child && child.exitCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  /** What it has printed, the end of it. */
  get log(): string {
    const path = join(this.#scratch, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8').slice(-4000) : '';
  }

  #manifests(kind: string): Manifest[] {
    const directory = join(this.#directory, 'manifests', this.#start.name);
    return readdirSync(directory)
      .flatMap((file) => parseAllDocuments(readFileSync(join(directory, file), 'utf8')))
      .map((one) => one.toJS() as Manifest | null)
      .filter((one): one is Manifest => one?.kind === kind);
  }

  async #established(name: string): Promise<void> {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
    await this.#until(`${name} is served`, async () => {
      const body = (await this.#c.client.rest.request({ method: 'GET', path })) as {
        status?: { conditions?: { type: string; status: string }[] };
      };
      const conditions = body.status?.conditions ?? [];
      return conditions.some((one) => one.type === 'Established' && one.status === 'True');
    });
  }

  async #until(what: string, see: () => Promise<boolean>): Promise<void> {
    const limit = Date.now() + START_LIMIT_MS;
    while (!(await see())) {
      if (Date.now() > limit) throw new Error(`not within a minute: ${what}\n${this.log}`);
      await sleep(100);
    }
  }

  /** A certificate for the webhooks in a directory of its own. @returns the authority's, as a webhook configuration has it */
  #certificates(): string {
    const now = Date.now();
    const issuer = makeIssuer(now);
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const lifetime = { from: now - HOUR_MS, to: now + 24 * HOUR_MS };
    const cert = signServer(signerOf(issuer), { publicKey, dnsName: 'localhost' }, lifetime);
    const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
    writeFileSync(join(this.#scratch, 'tls.crt'), cert);
    writeFileSync(join(this.#scratch, 'tls.key'), key);
    return Buffer.from(issuer.certificate).toString('base64');
  }

  /** @returns the flags that name its configuration file */
  #configure(port: number): string[] {
    const { configuration } = this.#start;
    if (configuration === undefined) return [];
    const file = join(this.#scratch, 'configuration.json');
    const body = {
      apiVersion: configuration,
      kind: 'Configuration',
      leaderElection: { leaderElect: false },
      internalCertManagement: { enable: false },
      webhook: { host: '127.0.0.1', port, certDir: this.#scratch },
      metrics: { bindAddress: '0' },
      health: { healthProbeBindAddress: '127.0.0.1:0' },
    };
    writeFileSync(file, JSON.stringify(body));
    return [`--config=${file}`];
  }

  /** Its own configurations, with this machine in place of the Service. */
  async #installHooks(port: number, caBundle: string): Promise<void> {
    for (const kind of ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']) {
      for (const one of this.#manifests(kind) as Webhooks[]) {
        const webhooks = one.webhooks.map((hook) => ({
          ...hook,
          clientConfig: {
            url: `https://localhost:${port}${hook.clientConfig.service?.path ?? ''}`,
            caBundle,
          },
        }));
        const name = `${this.#start.name}-${kind.toLowerCase()}`;
        const path = `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}s`;
        const body = { ...one, metadata: { name }, webhooks };
        await this.#c.client.rest.request({ method: 'POST', path, body });
        this.#hooks.push(`${path}/${name}`);
      }
    }
  }
}

/** Whether somebody listens. */
function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
