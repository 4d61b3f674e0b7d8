// SPDX-License-Identifier: Apache-2.0
// What cases do to a cluster that isn't Kubernetes. Each kind of cluster has a provider that does it, as far as it can.

import type { MigrationRequest } from '../../../crds/src/index.ts';

/** An ability of a provider, with what a case does with it. */
export const abilities = {
  shell: 'run a command on a node',
  images: 'load an image archive onto a node',
  chart: 'install and uninstall Sealift',
  cables: 'pull the cable of a node',
  reset: 'reset a node',
  'control-plane': 'stop a part of the control plane',
  services: 'reach the address of a Service from a pod',
  'own-kernel': 'change the kernel of one node alone',
  'outside-peer': 'start a machine outside the cluster',
} as const;
export type Ability = keyof typeof abilities;

export type Cable = 'cluster' | 'fabric';

/** A machine outside the cluster, on the fabric network. `runOnNode` takes its name, too. */
export interface OutsidePeer {
  readonly name: string;
  /** On the fabric network, in the cases' own range, with a prefix length of 16. */
  readonly address: string;
  /** Its interface on the fabric network. */
  readonly netdev: string;
}

/** Where kubectl and helm are, and of which cluster they speak. */
export interface Tools {
  readonly kubectl: string;
  readonly helm: string;
  /** Undefined: what kubectl takes by itself. */
  readonly kubeconfig: string | undefined;
}

/**
 * Every method is there for every provider; one that needs an ability which the provider lacks throws UnableError. Cases say
 * in advance what they need (`Case.needs`), so that they are skipped instead.
 */
export interface Provider {
  readonly name: 'lab' | 'kind' | 'none';
  readonly tools: Tools;
  readonly abilities: ReadonlySet<Ability>;
  /** Why an ability that the provider lacks cannot be had. Absent: nobody has made it. */
  readonly why: Partial<Record<Ability, string>>;
  /**
   * Values of the chart for this cluster, over the chart's own. Undefined: the suite installs nothing and takes the Sealift
   * that is there.
   */
  readonly chartValues: object | undefined;
  /** How many times longer than on the lab things may take: the suite's own limits are multiplied by it. */
  readonly slowness: number;
  /** `spec.timeouts` of each move, where the defaults are too short for this cluster. A case's own go first. */
  readonly moveTimeouts: Partial<MigrationRequest['spec']['timeouts']>;
  /** Runs a shell line on a node, as root. @returns its output. @throws CommandError */
  runOnNode(node: string, line: string, timeoutMs: number): Promise<string>;
  /** Unpacks a .tar.gz of this machine into a directory of a node. */
  unpack(node: string, archive: string, directory: string): Promise<void>;
  loadImage(archive: string, nodes: readonly string[]): Promise<void>;
  setCable(node: string, cable: Cable, state: 'up' | 'down'): Promise<void>;
  /** What a node's kernel has written to its console, also before it was reset or crashed. Absent: nobody keeps it. */
  console?(node: string): Promise<string>;
  /** Takes a node's power for a moment. Returns before it is back. */
  reset(node: string): Promise<void>;
  /** Stops or starts a part of the control plane, e.g. `kube-apiserver`. */
  controlPlane(part: string, action: 'stop' | 'start'): Promise<void>;
  startOutsidePeer(): Promise<OutsidePeer>;
  /** Address of a node, or of the API server, on the cluster's network, by which nodes speak to it. */
  addressOf(who: { node: string } | 'api-server'): Promise<string>;
  /** Versions of what Kubernetes doesn't report, e.g. of kind. */
  versions(): Promise<Record<string, string>>;
}

/** The provider of this cluster cannot do it (`code` Unable). */
export class UnableError extends Error {
  readonly code = 'Unable';
  constructor(provider: Pick<Provider, 'name' | 'why'>, ability: Ability) {
    super(reasonLacking(provider, ability));
    this.name = 'UnableError';
  }
}

function reasonLacking({ name, why }: Pick<Provider, 'name' | 'why'>, ability: Ability): string {
  const because = why[ability];
  return `provider ${name} cannot ${abilities[ability]}${because === undefined ? '' : `: ${because}`}`;
}

/** Why a case cannot run, or undefined if it can: one sentence that names each ability that is lacking. */
export function skipReason(
  provider: Pick<Provider, 'name' | 'why' | 'abilities'>,
  needs: readonly Ability[] = [],
): string | undefined {
  const lacking = needs.filter((need) => !provider.abilities.has(need));
  if (lacking.length === 0) return undefined;
  return `${lacking.map((need) => reasonLacking(provider, need)).join('; ')}.`;
}
