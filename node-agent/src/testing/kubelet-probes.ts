// SPDX-License-Identifier: Apache-2.0
// For tests: makes network probes as a kubelet does, all at once, and prints a JSON array of `success` or what failed.
import { connect as connectHttp2 } from 'node:http2';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';

export interface KubeletProbe {
  kind: 'tcp' | 'http' | 'https' | 'grpc';
  address: string;
  port: number;
  userAgent?: string;
  /** Of the process that connects; 0 if it is not given. */
  uid?: number;
}

const TIMEOUT_MS = 3000;
const KUBELET = 'kube-probe/1.34';

function tcp({ address: host, port }: KubeletProbe): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: TIMEOUT_MS });
    const end = (result: string) => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end('success'));
    socket.on('timeout', () => end('timeout'));
    socket.on('error', ({ message }) => end(message));
  });
}

function http(probe: KubeletProbe): Promise<string> {
  const { kind, address: hostname, port, userAgent = KUBELET } = probe;
  return new Promise((resolve) => {
    const options = { hostname, port, path: '/healthz', timeout: TIMEOUT_MS, agent: false };
    const headers = { 'user-agent': userAgent, connection: 'close' };
    const request =
      kind === 'https'
        ? httpsRequest({ ...options, headers, rejectUnauthorized: false })
        : httpRequest({ ...options, headers });
    request.on('response', (response) => {
      response.resume();
      response.on('end', () =>
        resolve(response.statusCode === 200 ? 'success' : `status ${response.statusCode}`),
      );
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', ({ message }) => resolve(message));
    request.end();
  });
}

function grpc({ address, port, userAgent = `${KUBELET} grpc-go/1.72.2` }: KubeletProbe) {
  return new Promise<string>((resolve) => {
    const session = connectHttp2(
      `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    );
    const end = (result: string) => {
      session.destroy();
      resolve(result);
    };
    session.setTimeout(TIMEOUT_MS, () => end('timeout'));
    session.on('error', ({ message }: Error) => end(message));
    session.on('close', () => end('closed'));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      'user-agent': userAgent,
      te: 'trailers',
    });
    const received: Buffer[] = [];
    stream.on('error', ({ message }: Error) => end(message));
    stream.on('data', (chunk: Buffer) => received.push(chunk));
    stream.on('trailers', (trailers: Record<string, string | undefined>) => {
      const message = Buffer.concat(received).toString('hex');
      const status = trailers['grpc-status'] ?? 'none';
      const isServing = status === '0' && message === '00000000020801';
      end(isServing ? 'success' : `status ${status}, message ${message}`);
    });
    // An empty HealthCheckRequest.
    stream.end(Buffer.alloc(5));
  });
}

const kinds = { tcp, http, https: http, grpc };

const probes = JSON.parse(process.argv[2] ?? '[]') as KubeletProbe[];
const asRoot = probes.filter(({ uid = 0 }) => uid === 0);
const results = new Map<KubeletProbe, string>();
const make = async (probe: KubeletProbe) => void results.set(probe, await kinds[probe.kind](probe));
await Promise.all(asRoot.map(make));
for (const probe of probes.filter((one) => !asRoot.includes(one))) {
  process.seteuid?.(probe.uid ?? 0);
  await make(probe);
  process.seteuid?.(0);
}
console.log(JSON.stringify(probes.map((probe) => results.get(probe))));
process.exit(0);
