// SPDX-License-Identifier: Apache-2.0
// The API server that the kubeconfig names, as kubectl chooses it: --kubeconfig, $KUBECONFIG, ~/.kube/config; --context, -n.
import { KubeConfig } from '@kubernetes/client-node';
import { Client, messageOf, namespaceOf, Rest } from '../../kube/src/index.ts';
import { CommandError, exitCodes, usageError } from './exit-codes.ts';
import { textIn, type Values } from './values.ts';

export interface Cluster {
  readonly api: Client;
  /** Of -n, else of the context. */
  readonly namespace: string;
}

/** @throws CommandError that says which file or context is wrong */
export function openCluster(values: Values): Cluster {
  const config = new KubeConfig();
  const path = textIn(values, 'kubeconfig');
  try {
    if (path === undefined) config.loadFromDefault();
    else config.loadFromFile(path);
  } catch (error) {
    throw usageError(
      `The kubeconfig ${path ?? 'of $KUBECONFIG or ~/.kube/config'} cannot be read: ${messageOf(error).split('\n')[0] ?? ''}. Give another one with --kubeconfig.`,
    );
  }
  const context = textIn(values, 'context');
  if (context !== undefined) {
    if (!config.getContextObject(context)) {
      const names = config.getContexts().map(({ name }) => name);
      throw usageError(
        `The kubeconfig has no context ${context}. It has: ${names.join(', ') || 'none'}.`,
      );
    }
    config.setCurrentContext(context);
  }
  if (!config.getCurrentCluster()?.server) {
    throw new CommandError(
      exitCodes.cluster,
      'The kubeconfig names no cluster. Choose a context with --context, or set one with kubectl config use-context.',
    );
  }
  const api = new Client(new Rest(config, 'kubectl-sealift'));
  return { api, namespace: textIn(values, 'namespace') ?? namespaceOf(config) };
}
