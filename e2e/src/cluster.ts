// SPDX-License-Identifier: Apache-2.0
// Access to the cluster: kubectl, helm and a shell on each node.
import { labels } from '../../crds/src/index.ts';
import { run } from './command.ts';
import { provider } from './provider/choice.ts';

const { kubeconfig } = provider.tools;
const env: Record<string, string> = kubeconfig === undefined ? {} : { KUBECONFIG: kubeconfig };

/** How long a command may take that takes `ms` on the lab at most. */
const within = (ms: number): { timeoutMs: number } => ({ timeoutMs: ms * provider.slowness });
const KUBECTL_MS = 120_000;

export const kubectl = (...args: string[]): Promise<string> =>
  run(provider.tools.kubectl, args, { env, ...within(KUBECTL_MS) });

export async function kubectlJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await kubectl(...args, '-o', 'json')) as unknown;
}

/** `kubectl apply` of any number of objects. @throws CommandError when the API server refuses one */
export async function apply(...objects: object[]): Promise<string> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  const input = JSON.stringify(list);
  return run(provider.tools.kubectl, ['apply', '-f', '-'], { env, input, ...within(KUBECTL_MS) });
}

export const helm = (...args: string[]): Promise<string> =>
  run(provider.tools.helm, args, { env, ...within(900_000) });

/** Runs a shell line on a node. @throws CommandError, UnableError */
export const onNode = (node: string, line: string, timeoutMs = 60_000): Promise<string> =>
  provider.runOnNode(node, line, timeoutMs * provider.slowness);

interface NodeList {
  items: {
    metadata: { name: string; labels?: Record<string, string> };
    spec: { taints?: { key: string; effect: string }[] };
    status: NodeStatus;
  }[];
}
interface NodeStatus {
  nodeInfo: { kernelVersion: string; containerRuntimeVersion: string; kubeletVersion: string };
  conditions: { type: string; status: string }[];
}

const CONTROL_PLANE = 'node-role.kubernetes.io/control-plane';

/** The nodes that are there for pods: those without the control plane's taint. */
async function workers(): Promise<NodeList['items']> {
  const list = (await kubectlJson('get', 'nodes')) as NodeList;
  return list.items.filter((n) => !n.spec.taints?.some(({ key }) => key === CONTROL_PLANE));
}

/** Names of the workers that are Ready, sorted. Of somebody's own cluster: of those that take part in Sealift. */
export async function readyNodes(): Promise<string[]> {
  return (await workers())
    .filter((n) => provider.chartValues || n.metadata.labels?.[labels.driverAbi] !== undefined)
    .filter((n) => n.status.conditions.some((c) => c.type === 'Ready' && c.status === 'True'))
    .map((n) => n.metadata.name)
    .sort();
}

/** Prints the versions of what Sealift has installed on a node. */
const TOOL_VERSIONS =
  '/opt/sealift/bin/runc --version | head -1; /opt/sealift/bin/criu --version | head -1';

/** As helm knows it. In somebody's own cluster helm may have no part, or not be there. */
async function sealiftVersion(): Promise<string | undefined> {
  try {
    const releases = JSON.parse(await helm('list', '-n', 'sealift', '-o', 'json')) as {
      app_version: string;
    }[];
    return releases[0]?.app_version;
  } catch (error) {
    if (provider.chartValues !== undefined) throw error;
    return undefined;
  }
}

/** Versions for the report, from the first worker. What cannot be seen from outside is `unknown`. */
export async function versions(): Promise<Record<string, string>> {
  const node = (await workers())[0];
  if (!node) throw new Error('The cluster has no node for pods.');
  const info = node.status.nodeInfo;
  const tools = provider.abilities.has('shell')
    ? await onNode(node.metadata.name, TOOL_VERSIONS)
    : '';
  const pick = (pattern: RegExp): string => pattern.exec(tools)?.[1] ?? 'unknown';
  return {
    kernel: info.kernelVersion,
    criu: pick(/^Version: (\S+)/m),
    runc: pick(/^runc version (\S+)/m),
    containerd: info.containerRuntimeVersion.replace('containerd://', ''),
    kubernetes: info.kubeletVersion.replace(/^v/, ''),
    sealift: (await sealiftVersion()) ?? 'unknown',
    ...(await provider.versions()),
  };
}
