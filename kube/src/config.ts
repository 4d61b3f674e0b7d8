// SPDX-License-Identifier: Apache-2.0
// Address of the API server and our credentials: from a kubeconfig file or the pod's service account.
import { KubeConfig } from '@kubernetes/client-node';
import { TerminalError, messageOf } from './errors.ts';

/**
 * @param path a kubeconfig file; absent: $KUBECONFIG, else the service account of the pod.
 * @throws TerminalError `NoCluster` or `BadKubeconfig`, saying what is missing.
 */
export function loadConfig(path = process.env['KUBECONFIG']): KubeConfig {
  const config = new KubeConfig();
  if (path) {
    try {
      config.loadFromFile(path);
    } catch (error) {
      throw new TerminalError('BadKubeconfig', `${path}: ${messageOf(error)}`, error);
    }
  } else if (process.env['KUBERNETES_SERVICE_HOST']) {
    config.loadFromCluster();
  } else {
    throw new TerminalError(
      'NoCluster',
      'No API server: give --kubeconfig or KUBECONFIG, or run in a pod with a service account.',
    );
  }
  if (!config.getCurrentCluster()?.server) {
    throw new TerminalError('BadKubeconfig', 'the current context names no cluster with a server');
  }
  return config;
}

/** The namespace of the current context. */
export function namespaceOf(config: KubeConfig): string {
  return config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
}
