// SPDX-License-Identifier: Apache-2.0
// The connections that requests to the API server go over.
import type { AgentOptions, RequestOptions } from 'node:https';
import type { KubeConfig, RequestContext } from '@kubernetes/client-node';
import { Agent, type buildConnector, type Dispatcher } from 'undici';

/** Less than the 90 s after which an API server closes a connection that nothing was asked over. */
const KEEP_MS = 60_000;

/**
 * HTTP/1.1: over HTTP/2 undici hands the error of a connection that breaks to streams of cancelled requests, which have
 * no listener any more, and that ends the process. (Seen with 8.12.4 and 8.13.1: a connection that is reset while a
 * watch is cancelled.)
 */
const http1 = { allowH2: false };
const overHttp1: Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch({ ...options, ...http1 }, handler);

/**
 * Connections as the configuration asks for, each kept for the next request: a TLS handshake inside the blackout is
 * spared.
 * @param context to which the configuration has been applied
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
    connect: connect as buildConnector.BuildOptions,
  });
}
