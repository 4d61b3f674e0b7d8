// SPDX-License-Identifier: Apache-2.0
// Whether containerd serves the kubelet. It starts, and systemd calls it active, also without its CRI plugin, which it leaves
// out where it does not like that part of its configuration. One call of gRPC over HTTP/2 tells.
import { connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentError } from '../../support/errors.ts';

/** runtime/v1/api.proto of cri-api */
const METHOD = '/runtime.v1.RuntimeService/Version';
/** A message of no fields: not compressed, length 0. */
const EMPTY = Buffer.alloc(5);
const CALL_MS = 5000;
const RETRY_MS = 500;

/** Asks once. @returns why there is no answer; undefined: there is one */
function ask(socket: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
    const end = (problem: string | undefined): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(problem);
    };
    const timer = setTimeout(() => end('it does not answer'), CALL_MS);
    session.on('error', (error: Error) => end(error.message));
    const stream = session.request({
      ':method': 'POST',
      ':path': METHOD,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    // Without a message of its own, an answer has its status in the headers.
    const onHeaders = (headers: IncomingHttpHeaders): void => {
      const status = headers['grpc-status']?.toString();
      if (status === undefined) return;
      const said = headers['grpc-message']?.toString();
      end(status === '0' ? undefined : (said ?? `status ${status}`));
    };
    stream.once('response', onHeaders);
    stream.once('trailers', onHeaders);
    stream.on('error', (error: Error) => end(error.message));
    stream.once('close', () =>
      end(`the call ended without a status (${stream.rstCode ?? constants.NGHTTP2_NO_ERROR})`),
    );
    stream.resume();
    stream.end(EMPTY);
  });
}

/**
 * Resolves once containerd answers the kubelet's calls. After a start it reads the state of all pods first.
 * @param socket as the agent sees it
 * @throws AgentError RuntimeFailed if it does not in time
 */
export async function criAnswers(socket: string, limitMs = 180_000): Promise<void> {
  const end = Date.now() + limitMs;
  for (;;) {
    const problem = await ask(socket);
    if (problem === undefined) return;
    if (Date.now() >= end)
      throw new AgentError(
        'RuntimeFailed',
        `containerd runs, but does not serve the kubelet at ${socket}: ${problem}.`,
      );
    await sleep(RETRY_MS);
  }
}
