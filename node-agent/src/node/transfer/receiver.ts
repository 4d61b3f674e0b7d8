// SPDX-License-Identifier: Apache-2.0
// The HTTPS server for images from other agents: `PUT /v1/images/<id>` with a tar stream. It replies after every byte was
// verified and synced. A client needs a certificate of the agents' own CA with the agents' name.
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import type { Manifest } from './manifest.ts';
import { watchIdle } from './idle-watch.ts';
import type { ImageStore } from './image-store.ts';
import { readCertificates, SERVER_NAME } from './tls.ts';

/** How often the certificates are read again. */
const RELOAD_MS = 60_000;
/** A sender that sends no byte for that long is gone. */
const IDLE_MS = 30_000;
const HANDSHAKE_MS = 10_000;
const MAX_CONNECTIONS = 64;

/** What the receiver needs, and the callbacks by which it asks and reports. */
export interface ReceiverOptions {
  store: ImageStore;
  certificateDir: string;
  log: Logger;
  /** The id that the manifest of images for folder `id` must have; undefined if none are awaited there. */
  expected(id: string): string | undefined;
  /** Called before the sender gets its reply. */
  received(id: string, manifest: Manifest): void;
  failed(id: string, error: unknown): void;
  /** Called before the first byte is read. */
  started?(id: string): void;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  #server: https.Server | undefined;
  #reload: NodeJS.Timeout | undefined;
  /** Ids of images that are being received. */
  readonly #busy = new Set<string>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** @returns the port, which differs from the one asked for only if that was 0. @throws AgentError CertificateMissing */
  async listen(port: number, host?: string): Promise<number> {
    const options = await this.#tls();
    const server = https.createServer(options, (request, response) => {
      void this.#serve(request, response);
    });
    server.requestTimeout = 0;
    // A move needs one connection: this bounds what a client can occupy.
    server.maxConnections = MAX_CONNECTIONS;
    server.on('tlsClientError', (error) => {
      this.#options.log.warn({ err: error }, 'image client refused');
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve());
    });
    this.#server = server;
    this.#reload = setInterval(() => {
      this.#tls().then(
        (fresh) => server.setSecureContext(fresh),
        (error: unknown) => this.#options.log.error({ err: error }, 'cannot reload certificates'),
      );
    }, RELOAD_MS).unref();
    const address = server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  /** Closes open connections too. */
  async close(): Promise<void> {
    clearInterval(this.#reload);
    this.#server?.closeAllConnections();
    await new Promise<void>((resolve) =>
      this.#server ? this.#server.close(() => resolve()) : resolve(),
    );
  }

  async #tls(): Promise<https.ServerOptions> {
    const files = await readCertificates(this.#options.certificateDir);
    return {
      ...files,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: HANDSHAKE_MS,
      headersTimeout: HANDSHAKE_MS,
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = /^\/v1\/images\/([A-Za-z0-9.-]+)$/.exec(request.url ?? '')?.[1];
    let awaited: string | undefined;
    try {
      checkClient(request.socket as TLSSocket);
      if (request.method !== 'PUT' || !id) {
        throw new AgentError('BadRequest', 'The agent serves only PUT /v1/images/<id>.');
      }
      awaited = this.#options.expected(id);
      if (awaited === undefined) {
        throw new AgentError('UnexpectedImages', `This node awaits no images of ${id} now.`);
      }
      if (this.#busy.has(id)) {
        throw new AgentError('UnexpectedImages', `This node is receiving images of ${id} already.`);
      }
    } catch (error) {
      reply(request, response, error);
      return;
    }
    this.#busy.add(id);
    const endWatch = watchIdle(request, IDLE_MS);
    try {
      this.#options.started?.(id);
      const manifest = await withFaults('receiver.store', () =>
        this.#options.store.receive(id, request, awaited),
      );
      this.#options.received(id, manifest);
      const stored = await this.#options.store.manifest(id);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ ok: true, digest: stored?.digest ?? '' }));
    } catch (error) {
      this.#options.failed(id, error);
      reply(request, response, error);
    } finally {
      endWatch();
      this.#busy.delete(id);
    }
  }
}

/** A certificate of the agents' CA may be another program's. @throws AgentError BadRequest */
function checkClient(socket: TLSSocket): void {
  const names = socket.getPeerCertificate().subjectaltname ?? '';
  if (names.split(/,\s*/).includes(`DNS:${SERVER_NAME}`)) return;
  throw new AgentError(
    'BadRequest',
    `The client's certificate is not for ${SERVER_NAME}. Check the agents' Secret.`,
  );
}

function reply(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const reason = reasonOf(error);
  if (response.destroyed || response.headersSent) return;
  response.writeHead(reason.code === 'Internal' ? 500 : 422, {
    'content-type': 'application/json',
    // The rest of the body is not wanted.
    connection: 'close',
  });
  response.end(JSON.stringify({ ok: false, ...reason }));
  request.unpipe();
  request.resume();
}
