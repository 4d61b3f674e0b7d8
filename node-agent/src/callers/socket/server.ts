// SPDX-License-Identifier: Apache-2.0
// Serves the agent's Unix socket: one line of JSON in, one line out, then the server closes (docs/architecture.md, "The
// agent's socket"). The shim, the CNI delegate and the CRIU plugin connect. A client may be killed, or may lose its
// connection and ask again: handlers are idempotent, and a reply to a closed connection is dropped.
import { chmod, mkdir, rm } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { AgentError, isErrno, reasonOf } from '../../support/errors.ts';
import {
  MAX_REQUEST_BYTES,
  parseRequest,
  type CniReply,
  type CniRequest,
  type CreateReply,
  type CreateRequest,
  type GateRequest,
  type PlainReply,
  type PodAddressReply,
  type PodNetworkReply,
  type Reply,
} from '../../support/socket-protocol.ts';

/** A client has this long to send its line. */
const READ_TIMEOUT_MS = 10_000;

/** One handler per operation. `gone` aborts when the client closes before its reply; each connection has its own. */
export interface SocketHandlers {
  create(request: CreateRequest, gone: AbortSignal): Promise<CreateReply>;
  gate(request: GateRequest, gone: AbortSignal): Promise<PlainReply>;
  cni(
    request: CniRequest,
    gone: AbortSignal,
  ): Promise<CniReply | PodNetworkReply | PodAddressReply>;
}

export class SocketServer {
  readonly #handlers: SocketHandlers;
  readonly #log: Logger;
  readonly #server: net.Server;
  readonly #open = new Set<net.Socket>();

  constructor(handlers: SocketHandlers, log: Logger) {
    this.#handlers = handlers;
    this.#log = log;
    // A client keeps its writing side open while it waits: an end of the stream means that it has left.
    this.#server = net.createServer((socket) => {
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
      void this.#serve(socket);
    });
  }

  /** Replaces the socket file of an agent that died: the DaemonSet runs one agent per node. @throws Error of the system */
  async listen(path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rm(path, { force: true });
    const before = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(path, () => {
          this.#server.off('error', reject);
          resolve();
        });
      });
    } finally {
      process.umask(before);
    }
    await chmod(path, 0o600);
  }

  /** Waiting clients lose their connection and ask the next agent. */
  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(socket: net.Socket): Promise<void> {
    const gone = new AbortController();
    socket.on('error', (error) => {
      if (!isErrno(error, 'EPIPE') && !isErrno(error, 'ECONNRESET')) {
        this.#log.warn({ err: error }, 'agent socket connection failed');
      }
    });
    socket.once('close', () => gone.abort());
    socket.once('end', () => gone.abort());
    let reply: Reply;
    try {
      reply = await this.#answer(await readLine(socket), gone.signal);
    } catch (error) {
      const reason = reasonOf(error);
      this.#log.warn({ reason: reason.code, detail: reason.message }, 'request refused');
      reply = { ok: false, ...reason };
    }
    if (socket.writable) socket.end(`${JSON.stringify(reply)}\n`);
  }

  async #answer(line: string, gone: AbortSignal): Promise<Reply> {
    const request = parseRequest(line);
    this.#log.debug({ request }, 'request');
    switch (request.op) {
      case 'create':
        return this.#handlers.create(request, gone);
      case 'gate':
        return this.#handlers.gate(request, gone);
      case 'cni':
        return this.#handlers.cni(request, gone);
    }
  }
}

/** The first line, without its newline. @throws AgentError ProtocolError */
function readLine(socket: net.Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const fail = (message: string) => done(() => reject(new AgentError('ProtocolError', message)));
    const timer = setTimeout(
      () => fail('The client has sent no whole line within 10 s.'),
      READ_TIMEOUT_MS,
    );
    const onData = (chunk: Buffer) => {
      const newline = chunk.indexOf(10);
      chunks.push(newline < 0 ? chunk : chunk.subarray(0, newline));
      size += newline < 0 ? chunk.length : newline;
      if (size > MAX_REQUEST_BYTES) fail(`The request is longer than ${MAX_REQUEST_BYTES} bytes.`);
      else if (newline >= 0) done(() => resolve(Buffer.concat(chunks).toString('utf8')));
    };
    const onEnd = () => fail('The client closed the connection before it sent a newline.');
    const done = (finish: () => void) => {
      clearTimeout(timer);
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
      // The stream keeps flowing, or the server would not notice the close of a client that waits at a gate.
      socket.resume();
      finish();
    };
    socket.on('data', onData).once('end', onEnd).once('close', onEnd);
  });
}
