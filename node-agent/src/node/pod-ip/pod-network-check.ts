// SPDX-License-Identifier: Apache-2.0
// Whether pods that move here keep their addresses, and if not, why: what the node's Registration tells the operator. A move that
// keeps an address and then cannot be reached is worse than one that does not keep it.
import { networkInterfaces } from 'node:os';
import {
  isNotFound,
  messageOf,
  networkAttachments,
  nodes,
  visit,
  type Api,
  type Clock,
  type Node,
} from '../../../../kube/src/index.ts';
import { blockListOf } from './address-ranges.ts';
import { familiesOf, type KeepingNetwork } from './drivers.ts';

export interface PodNetworkDescription {
  /** `<namespace>/<name>` */
  readonly network: string;
  /** Families of the addresses that pods get there; none: not known. */
  readonly families: readonly string[];
}

export interface PodNetworkCheckParts {
  readonly api: Api;
  readonly clock: Clock;
  readonly nodeName: string;
  /** `<namespace>/<name>` of the chart's Multus network. */
  readonly network: string;
  /** Whether the cluster's other nodes are looked at, too: nobody has said that they reach each other directly. */
  readonly looksAtNodes: boolean;
  /** The node's own network, or a sentence why none can keep addresses. */
  readonly look: () => Promise<KeepingNetwork | string>;
  /** `<address>/<bits>` of this node's interfaces. */
  readonly ownCidrs?: () => readonly string[];
}

/** How long the cluster is taken for as it was. A node that joins elsewhere ends it for all. */
const REMEMBERED_MS = 300_000;
/** How long what is in the way is taken to be there still. */
const REMEMBERED_PROBLEM_MS = 60_000;

export class PodNetworkCheck {
  readonly #parts: PodNetworkCheckParts;
  #cluster: { readonly problem: string | undefined; readonly until: number } | undefined;

  constructor(parts: PodNetworkCheckParts) {
    this.#parts = parts;
  }

  /** @returns a sentence why pods that move here get other addresses */
  async describe(signal?: AbortSignal): Promise<PodNetworkDescription | string> {
    const { look, network } = this.#parts;
    const found = await look();
    if (typeof found === 'string') return found;
    const families = familiesOf(found);
    const problem = await this.#clusterProblem(families, signal);
    return problem ?? { network, families };
  }

  /** What is in the way besides the node itself, remembered for a while. */
  async #clusterProblem(
    families: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { clock } = this.#parts;
    const known = this.#cluster;
    if (known && clock.now() < known.until) return known.problem;
    let problem: string | undefined;
    try {
      problem =
        (await this.#networkProblem(signal)) ?? (await this.#nodesProblem(families, signal));
    } catch (error) {
      // Nothing says that it is not as it was.
      if (known) return known.problem;
      return `It cannot be read whether it is possible: ${messageOf(error)}`;
    }
    const forMs = problem === undefined ? REMEMBERED_MS : REMEMBERED_PROBLEM_MS;
    this.#cluster = { problem, until: clock.now() + forMs };
    return problem;
  }

  /** Without the network Multus makes no sandbox of a pod that names it. */
  async #networkProblem(signal: AbortSignal | undefined): Promise<string | undefined> {
    const { api, network } = this.#parts;
    const [namespace = '', name = ''] = network.split('/');
    try {
      await api.getRaw(networkAttachments, namespace, name, { signal });
      return undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return `The Multus network ${network} is missing: the cluster had no Multus when the chart was installed, or somebody has removed it. Run helm upgrade.`;
    }
  }

  /** Every node routes a kept address directly to the node that has the pod. */
  async #nodesProblem(
    families: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { api, nodeName, looksAtNodes, ownCidrs = cidrsHere } = this.#parts;
    if (!looksAtNodes) return undefined;
    const here = blockListOf(ownCidrs());
    let first: string | undefined;
    await visit(api, nodes, { signal }, (node) => {
      if (first !== undefined || node.metadata.name === nodeName) return;
      for (const family of families.length > 0 ? families : ['IPv4']) {
        const why = unreachable(node, family, (address) =>
          here.check(address, family === 'IPv6' ? 'ipv6' : 'ipv4'),
        );
        if (why === undefined) continue;
        first ??= `Node ${node.metadata.name} ${why}, so its pods might not reach a moved pod. If they do, set podNetwork.enabled: true in the chart.`;
      }
    });
    return first;
  }
}

function unreachable(
  { status }: Node,
  family: string,
  isHere: (address: string) => boolean,
): string | undefined {
  const own = status.addresses
    .filter(({ type }) => type === 'InternalIP')
    .map(({ address }) => address)
    .filter((address) => address.includes(':') === (family === 'IPv6'));
  const [first] = own;
  if (first === undefined) return `has no InternalIP of family ${family}`;
  return isHere(first)
    ? undefined
    : `has the InternalIP ${first}, which is in no subnet of this node`;
}

/** The agent is in its node's network namespace. */
const cidrsHere = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((one) => one ?? [])
    .flatMap(({ cidr, internal }) => (cidr === null || internal ? [] : cidr));
