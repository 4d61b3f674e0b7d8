// SPDX-License-Identifier: Apache-2.0
// Any cluster with Sealift in it. The suite speaks to its API server and does nothing else to it.
import { UnableError, type Ability, type Provider } from './provider.ts';

/** @param kubeconfig of the cluster; undefined: what kubectl takes by itself */
export function none(kubeconfig: string | undefined): Provider {
  const unable = (ability: Ability) => (): Promise<never> =>
    Promise.reject(new UnableError(provider, ability));
  const provider: Provider = {
    name: 'none',
    tools: { kubectl: 'kubectl', helm: 'helm', kubeconfig },
    abilities: new Set(),
    why: {},
    slowness: 1,
    moveTimeouts: {},
    chartValues: undefined,
    runOnNode: unable('shell'),
    unpack: unable('shell'),
    loadImage: unable('images'),
    setCable: unable('cables'),
    reset: unable('reset'),
    controlPlane: unable('control-plane'),
    startOutsidePeer: unable('outside-peer'),
    addressOf: unable('shell'),
    versions: () => Promise.resolve({}),
  };
  return provider;
}
