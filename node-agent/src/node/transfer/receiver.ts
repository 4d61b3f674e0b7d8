// SPDX-License-Identifier: Apache-2.0
// The HTTPS server for images from other agents: `PUT /v1/images/<id>` with a tar stream. It replies after every byte was
// verified. A client needs the certificate of the node from which the images are awaited.
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { agentDnsName } from '../../../../crds/src/index.ts';
import { withFaults } from '../../../../kube/src/index.ts';
import { AgentError, reasonOf } from '../../support/errors.ts';
import type { Manifest } from './manifest.ts';
import { watchIdle } from './idle-watch.ts';
import type { ImageStore } from './image-store.ts';
import { CIPHERS, readCertificates } from './tls.ts';
import { UnprovenClients } from './unproven-clients.ts';

/** How often the certificate is read again. */
const RELOAD_MS = 5_000;
/** A sender that sends no byte for that long is gone. */
const IDLE_MS = 30_000;
const HANDSHAKE_MS = 10_000;
/** A connection is opened before its pod is locked, and has a request when the images are written. */
const HEADERS_MS = 120_000;
/** Of agents. A move needs one. */
const MAX_CONNECTIONS = 64;
/** Of whoever has shown no certificate yet. */
const MAX_UNPROVEN = 64;

/** Images that are awaited. */
export interface AwaitedImages {
  /** The id that their manifest must have. */
  imageId: string;
  /** The node that sends them. */
  node: string;
}

/** What the receiver needs, and the callbacks by which it asks and reports. */
export interface ReceiverOptions {
  store: ImageStore;
  certificateDir: string;
  log: Logger;
  /** What is awaited in directory `id`; undefined if nothing is. */
  expected(id: string): AwaitedImages | undefined;
  /** Called before the sender gets its reply. */
  received(id: string, manifest: Manifest): void;
  failed(id: string, error: unknown): void;
  /** Called before the first byte is read. */
  started?(id: string): void;
  /** How often the certificate is read again, in milliseconds; for tests. */
  reloadMs?: number;
}

const options: https.ServerOptions = {
  requestCert: true,
  rejectUnauthorized: true,
  ...CIPHERS,
  handshakeTimeout: HANDSHAKE_MS,
  headersTimeout: HEADERS_MS,
};

export class Receiver {
  readonly #options: ReceiverOptions;
  #server: https.Server | undefined;
  #reload: NodeJS.Timeout | undefined;
  #certificate: Buffer | undefined;
  #trusted: Buffer | undefined;
  #complaint: string | undefined;
  readonly #sockets = new Set<Duplex>();
  /** Ids of images that are being received. */
  readonly #busy = new Set<string>();

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  /**
   * Without a certificate it refuses every client until there is one.
   * @returns the port, which differs from the one asked for only if that was 0
   */
  async listen(port: number, host?: string): Promise<number> {
    const server = https.createServer(options, (request, response) => {
      void this.#serve(request, response);
    });
    await this.#reloadCertificate(server);
    server.requestTimeout = 0;
    this.#bound(server);
    server.on('tlsClientError', (error) => {
      this.#options.log.warn({ err: error }, 'image client refused');
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve());
    });
    this.#server = server;
    const reload = this.#options.reloadMs ?? RELOAD_MS;
    this.#reload = setInterval(() => void this.#reloadCertificate(server), reload).unref();
    const address = server.address();
    return typeof address === 'object' && address ? address.port : port;
  }

  /** Closes open connections too, also those that have asked for nothing yet. */
  async close(): Promise<void> {
    clearInterval(this.#reload);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) =>
      this.#server ? this.#server.close(() => resolve()) : resolve(),
    );
  }

  /** Bounds what clients can occupy: agents by their number, all others so that no agent is kept out. */
  #bound(server: https.Server): void {
    const unproven = new UnprovenClients(MAX_UNPROVEN);
    const proven = new Set<TLSSocket>();
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      const { remoteAddress, remotePort } = socket;
      unproven.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        unproven.remove({ remoteAddress, remotePort });
      });
    });
    server.on('secureConnection', (socket) => {
      unproven.remove(socket);
      proven.add(socket);
      socket.once('close', () => proven.delete(socket));
      if (proven.size > MAX_CONNECTIONS) socket.destroy();
    });
  }

  /** Open connections keep the certificate that they began with. */
  async #reloadCertificate(server: https.Server): Promise<void> {
    try {
      const files = await readCertificates(this.#options.certificateDir);
      if (this.#certificate?.equals(files.cert) && this.#trusted?.equals(files.ca)) return;
      server.setSecureContext({ ...files, ...CIPHERS });
      [this.#certificate, this.#trusted] = [files.cert, files.ca];
    } catch (error) {
      const { code, message } = reasonOf(error);
      if (this.#complaint !== message)
        this.#options.log.warn({ code, message }, 'no image client is served');
      this.#complaint = message;
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = /^\/v1\/images\/([A-Za-z0-9.-]+)$/.exec(request.url ?? '')?.[1];
    let awaited: AwaitedImages | undefined;
    try {
      if (request.method !== 'PUT' || !id) {
        throw new AgentError('BadRequest', 'The agent serves only PUT /v1/images/<id>.');
      }
      awaited = this.#options.expected(id);
      if (awaited === undefined) {
        throw new AgentError('UnexpectedImages', `This node awaits no images of ${id} now.`);
      }
      checkClient(request.socket as TLSSocket, awaited.node);
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
        this.#options.store.receive(id, request, awaited.imageId),
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

/** The agent of another node sends no images in the name of this one. @throws AgentError BadRequest */
function checkClient(socket: TLSSocket, node: string): void {
  const names = (socket.getPeerCertificate().subjectaltname ?? '').split(/,\s*/);
  if (names.includes(`DNS:${agentDnsName(node)}`)) return;
  throw new AgentError(
    'BadRequest',
    `These images are awaited from node ${node}, and the client's certificate is for ${names.join(', ')}.`,
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
