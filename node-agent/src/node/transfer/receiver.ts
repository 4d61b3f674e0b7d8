// SPDX-License-Identifier: Apache-2.0
// HTTPS server for images from other agents: PUT /v1/images/<id>, a tar stream; the reply comes after every
// byte has been verified and written. A client needs a certificate of the agents' own CA.
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import type { Manifest } from './manifest.ts';
import type { ImageStore } from './image-store.ts';
import { readCertificates, SERVER_NAME } from './tls.ts';

/** How often rotated certificates are looked for. */
const RELOAD_MS = 60_000;
/** No byte for that long: the sender is gone. */
const IDLE_MS = 30_000;
const HANDSHAKE_MS = 10_000;
const MAX_CONNECTIONS = 64;

export interface ReceiverOptions {
  store: ImageStore;
  certificateDir: string;
  log: Logger;
  /** The id that images for the folder `id` have to have; undefined: none are awaited there. */
  expected(id: string): string | undefined;
  /** Called before the sender gets its reply. */
  received(id: string, manifest: Manifest): void;
  failed(id: string, error: unknown): void;
  started?(id: string): void;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  #server: https.Server | undefined;
  #reload: NodeJS.Timeout | undefined;
  readonly #busy = new Set<string>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /** Resolves with the port, which is another one than asked for only if 0 was. */
  async listen(port: number, host?: string): Promise<number> {
    const options = await this.#tls();
    const server = https.createServer(options, (request, response) => {
      void this.#serve(request, response);
    });
    server.requestTimeout = 0;
    // One per move at most; more is somebody who does not let others in.
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
        throw new AgentError('BadRequest', 'only PUT /v1/images/<id> is served');
      }
      awaited = this.#options.expected(id);
      if (awaited === undefined) {
        throw new AgentError('UnexpectedImages', `no images of ${id} are awaited on this node`);
      }
      if (this.#busy.has(id)) {
        throw new AgentError('UnexpectedImages', `images of ${id} are being received already`);
      }
    } catch (error) {
      reply(request, response, error);
      return;
    }
    this.#busy.add(id);
    request.setTimeout(IDLE_MS, () => request.destroy(new Error('aborted: no data for 30 s')));
    try {
      this.#options.started?.(id);
      const manifest = await withFaults('receiver.store', () =>
        this.#options.store.receive(id, request, awaited),
      );
      this.#options.received(id, manifest);
      const kept = await this.#options.store.manifest(id);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ ok: true, digest: kept?.digest ?? '' }));
    } catch (error) {
      this.#options.failed(id, error);
      reply(request, response, error);
    } finally {
      this.#busy.delete(id);
    }
  }
}

/** A certificate of the right CA may still be another program's. */
function checkClient(socket: TLSSocket): void {
  const names = socket.getPeerCertificate().subjectaltname ?? '';
  if (names.split(/,\s*/).includes(`DNS:${SERVER_NAME}`)) return;
  throw new AgentError('BadRequest', `the client's certificate is not for ${SERVER_NAME}`);
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
