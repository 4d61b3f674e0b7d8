// SPDX-License-Identifier: Apache-2.0
// The connections to the API server.
import type { AgentOptions, RequestOptions } from 'node:https';
import type { KubeConfig, RequestContext } from '@kubernetes/client-node';
import { Agent, type buildConnector, type Dispatcher } from 'undici';

/** Less than the 90 s after which an API server closes an idle connection. */
const KEEP_MS = 60_000;

/** undici's own is 10 s. Each request has a limit of its own, which grows (`TimeoutFactor` in rest.ts). */
const CONNECT_TIMEOUT_MS = 90_000;

/**
 * HTTP/1.1, because over HTTP/2 undici passes the error of a broken connection to streams of cancelled requests. They
 * have no listener any more, and the error ends the process. (Seen with 8.12.4 and 8.13.1, when a connection was reset
 * while a watch was cancelled.)
 */
const http1 = { allowH2: false };
const overHttp1: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch({ ...options, ...http1 }, handler);

/**
 * Connections with the configuration's TLS. Each stays open for the next request, which saves a TLS handshake inside the
 * blackout.
 * @param context request options to which client-node has applied the configuration
 */
export async function dispatcherOf(
  config: KubeConfig,
  context: RequestContext,
): Promise<Dispatcher> {
  const tls: RequestOptions = {};
  await config.applyToHTTPSOptions(tls);
  const options = config.createDispatcherOptions(config.getCurrentCluster(), tls as AgentOptions);
  const proxy = options.type === 'proxy' || options.type === 'socks';
  const own = context.getDispatcher();
  if (proxy && own) return own.compose(overHttp1);
  const connect = options.type === 'agent' ? options.connect : {};
  return new Agent({
    ...http1,
    keepAliveTimeout: KEEP_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS, ...(connect as buildConnector.BuildOptions) },
  });
}
