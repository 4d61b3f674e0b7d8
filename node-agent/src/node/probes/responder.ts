// SPDX-License-Identifier: Apache-2.0
// Answers the kubelet's network probes in the place of locked pods, each with success: TCP by accepting, HTTP and HTTPS
// with status 200, gRPC with SERVING (grpc.health.v1). Whatever does not call itself a probe gets its connection closed:
// another process of the node must not take the answer for the pod's.
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import {
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isErrno } from '../../support/errors.ts';
import type { ResponderPorts } from './redirect.ts';

/** A probe may take this long (its timeoutSeconds is 1 by default); then the responder closes the connection. */
const IDLE_MS = 10_000;
/** More probes than a kubelet makes at a time. */
const MAX_CONNECTIONS = 1000;

/** What kubelets call themselves, in HTTP and in gRPC. */
const KUBELET = 'kube-probe/';

/** First byte of a TLS record of type handshake (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;
/** What every HTTP/2 connection begins with (RFC 9113, 3.4). */
const HTTP2_PREFACE = 'PRI * HTTP/2';

const HEALTH_CHECK = '/grpc.health.v1.Health/Check';
/** A gRPC message, not compressed, 2 bytes long: HealthCheckResponse with status (field 1) SERVING (1). */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 0x08, 1]);
/** gRPC status codes. */
const [OK, UNIMPLEMENTED] = ['0', '12'];

/** A certificate and its key, in PEM. */
export interface KeyPair {
  cert: Buffer;
  key: Buffer;
}

export interface ResponderOptions {
  /** The certificate for HTTPS probes. The kubelet does not verify it. */
  certificate: () => Promise<KeyPair>;
  /** Whether a probe of a locked pod calls itself so; the header is absent where a pod's probe empties it. */
  isProbe?: (userAgent: string) => boolean;
}

export class ProbeResponder {
  readonly #options: ResponderOptions;
  readonly #http: HttpServer;
  readonly #http2: Http2Server;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#http = createHttpServer({ keepAlive: false }, (request, response) => {
      if (!this.#isProbe(request.headers)) request.socket.destroy();
      else response.writeHead(200, { connection: 'close', 'content-length': 2 }).end('ok');
    });
    this.#http2 = createHttp2Server();
    this.#http2.on('stream', (stream, headers) => this.#answerGrpc(stream, headers));
    this.#http2.on('sessionError', () => undefined);
  }

  /**
   * Listens at 127.0.0.1 and, if the node has IPv6, at ::1; resolves with the ports that the kernel has chosen. It listens
   * nowhere if it fails.
   */
  async listen(): Promise<ResponderPorts> {
    const ipv4 = await this.#listen('127.0.0.1');
    try {
      return { ipv4, ipv6: await this.#listen('::1') };
    } catch (error) {
      if (isErrno(error, 'EADDRNOTAVAIL') || isErrno(error, 'EAFNOSUPPORT')) return { ipv4 };
      for (const server of this.#servers.splice(0)) server.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => this.#accept(socket));
      server.maxConnections = MAX_CONNECTIONS;
      server.once('error', reject);
      server.listen({ host: address, port: 0 }, () => {
        server.on('error', () => undefined);
        this.#servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** A tcpSocket probe sends nothing; the first bytes of the others tell them apart. */
  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.once('data', (first) => {
      socket.pause();
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE) void this.#startTls(socket);
      else if (first.toString('latin1').startsWith(HTTP2_PREFACE)) {
        this.#http2.emit('connection', socket);
      } else this.#serveHttp(socket);
    });
  }

  #serveHttp(socket: Socket): void {
    this.#http.emit('connection', socket);
    socket.resume();
  }

  async #startTls(socket: Socket): Promise<void> {
    try {
      const { cert, key } = await this.#options.certificate();
      const secure = new TLSSocket(socket, { isServer: true, cert, key });
      secure.on('error', () => socket.destroy());
      this.#serveHttp(secure);
    } catch {
      // Without a certificate the probe fails, as it would without an answer.
      socket.destroy();
    }
  }

  #answerGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => undefined);
    if (!this.#isProbe(headers)) {
      stream.session?.destroy();
      return;
    }
    const isCheck = headers[':path'] === HEALTH_CHECK;
    const head = { ':status': constants.HTTP_STATUS_OK, 'content-type': 'application/grpc' };
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': isCheck ? OK : UNIMPLEMENTED }),
    );
    stream.respond(head, { waitForTrailers: true });
    stream.end(isCheck ? SERVING : undefined);
  }

  #isProbe(headers: IncomingHttpHeaders): boolean {
    const userAgent = headers['user-agent'] ?? '';
    return userAgent.startsWith(KUBELET) || this.#options.isProbe?.(userAgent) === true;
  }
}
