// SPDX-License-Identifier: Apache-2.0
// The host name that the processes of a moved pod see: that of the pod that they were started in. Pure.
import type { Node, Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';

interface Spec {
  readonly hostname?: unknown;
  readonly hostnameOverride?: unknown;
}

/** Fields of the spec that make a pod of another name show this one; none where the spec has one itself. */
export function hostNameFields(
  podName: string,
  { hostname, hostnameOverride }: Spec,
): { readonly hostname?: string; readonly hostnameOverride?: string } {
  if (typeof hostname === 'string' || typeof hostnameOverride === 'string') return {};
  // What the kubelet makes of a name (truncatePodHostnameIfNeeded).
  const shown = podName.slice(0, 63).replace(/[-.]+$/, '');
  // `hostname` is a DNS label. A name with a dot has no DNS record, and gets none by the other field.
  return shown.includes('.') ? { hostnameOverride: shown } : { hostname: shown };
}

/** What the target's spec says of the host name. */
export const specWithHostName = ({ metadata, spec }: Pod): Spec => ({
  ...spec,
  ...hostNameFields(metadata.name, spec),
});

/** A pod whose host name no field of a spec can give to another pod. */
export function refuseHostName({ metadata, spec }: Pod): Refusal | undefined {
  if (spec.setHostnameAsFQDN !== true) return undefined;
  if (hostNameFields(metadata.name, spec).hostnameOverride === undefined) return undefined;
  return {
    reason: 'UnsupportedPod',
    message: `The pod's host name is made of its own name ${metadata.name}, which has a dot, and of its domain (setHostnameAsFQDN): a pod of another name cannot have it. Create the pod with a name without dots, with spec.hostname, or without setHostnameAsFQDN.`,
  };
}

/** The first minor version of Kubernetes 1 that has `hostnameOverride` without being asked for it. */
const overrideSince = 35;

/** Why a node cannot show a pod the host name of its spec, as the end of a sentence. */
export function lacksHostName(
  { hostnameOverride }: Pick<Spec, 'hostnameOverride'>,
  { status }: Node,
): string | undefined {
  if (typeof hostnameOverride !== 'string') return undefined;
  const version = status.nodeInfo.kubeletVersion;
  const minor = /^v1\.(\d+)/.exec(version)?.[1];
  if (minor === undefined || Number(minor) >= overrideSince) return undefined;
  return `has a kubelet (${version}) that does not know spec.hostnameOverride, by which alone the pod could keep its host name ${hostnameOverride} (Kubernetes 1.35, feature HostnameOverride)`;
}

/**
 * Whether a target shows another host name: an API server that does not know the field leaves it out, and so does a kubelet.
 * @param template the spec that the target was to have
 * @param node the target's
 */
export function refuseLostHostName(
  template: Spec | undefined,
  target: Pod | undefined,
  node: Node | undefined,
): Refusal | undefined {
  const wanted = template?.hostnameOverride;
  if (typeof wanted !== 'string' || !target) return undefined;
  // As an operator of an earlier version made it: the API server has dropped nothing.
  if (typeof target.spec.hostname === 'string') return undefined;
  const refusal = (who: string): Refusal => ({
    reason: 'UnsupportedPod',
    message: `The pod's host name ${wanted} has a dot, and ${who} spec.hostnameOverride, by which another pod could have it (Kubernetes 1.35, feature HostnameOverride). Create the pod with a name without dots, or with spec.hostname.`,
  });
  if (target.spec.hostnameOverride !== wanted) return refusal('the API server does not take');
  if (!node || lacksHostName(template ?? {}, node) === undefined) return undefined;
  const version = node.status.nodeInfo.kubeletVersion;
  return refusal(`the kubelet of node ${node.metadata.name} (${version}) does not know`);
}
