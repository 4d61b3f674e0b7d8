// SPDX-License-Identifier: Apache-2.0
// What Sealift could have changed on a node and in the cluster's API, as lines that can be compared: before the first install,
// and after an uninstall. The first state is kept on the node itself, so that it ends with the node.
import { kubectl, kubectlJson, onNode } from './cluster.ts';
import { NotReachedError } from './wait.ts';

/** Lines `<section> <item>`, sorted. */
export type State = readonly string[];
type Nodes = readonly [string, string];

/** All of the suite's own files on a node begin with it. The comparison leaves them out. */
const OWN = '/var/lib/sealift-lab-';
/** The state of a node before Sealift; the cluster's is on the first node. */
const NODE_FILE = `${OWN}before-node`;
const CLUSTER_FILE = `${OWN}before-cluster`;

/** What changes without Sealift: processes' files, pods, images, logs, leases of addresses. */
const volatile = [
  ...['/proc', '/sys', '/dev', '/run', '/tmp', '/var/tmp', '/var/log', '/var/cache', '/root'],
  ...['/var/lib/containerd', '/var/lib/kubelet', '/var/lib/cni', '/var/lib/etcd', `${OWN}*`],
  ...['/var/lib/systemd', '/var/lib/dbus', '/var/lib/docker', '/kind', '/etc/mtab'],
];
const prune = volatile.map((path) => `-path '${path}'`).join(' -o ');

/**
 * Prints a node's state. Files have type, mode, owner and path; those that programs read as configuration or execute for the
 * runtime have a digest, too. Directories' times change when a file in them comes and goes, so no time is compared.
 */
const NODE_STATE = `
find / /var -xdev \\( ${prune} \\) -prune -o \\( -type d -printf 'file d %m %U:%G %p\\n' -o -printf 'file %y %m %U:%G %s %p %l\\n' \\)
find /etc /opt /usr/local -xdev -type f -exec sha256sum {} + | sed 's/^/digest /'
find /run -mindepth 1 -maxdepth 1 -name '*sealift*' -printf 'run %y %p\\n'
find /run/sealift -mindepth 1 -printf 'run %y %p\\n' 2>/dev/null || true
find /sys/fs/cgroup -maxdepth 1 -name '*sealift*' -printf 'run %y %p\\n'
containerd config dump | sed 's/^ */containerd /'
cut -d ' ' -f 1 /proc/modules | sed 's/^/module /'
echo "rdma netns_mode $(cat /sys/module/ib_core/parameters/netns_mode 2>/dev/null)"
for one in /sys/class/infiniband/* /dev/infiniband/*; do [ ! -e "$one" ] || echo "rdma $one"; done
ip -o link | sed -n 's/^[0-9]*: \\([^:@]*\\).*/\\1/p' | grep -v '^veth' | sed 's/^/interface /'
ip rule | sed 's/^/rule ip /'
nft -s list tables | sed 's/^/rule /'
for table in $(nft -s list tables | grep -v kube-proxy | sed 's/table //;s/ /:/g'); do nft -s list table $(echo $table | tr : ' ') | sed 's/^[ \\t]*/rule nft /'; done
for exe in /proc/[0-9]*/exe; do case $(readlink $exe) in /opt/sealift/*) echo "process $(readlink $exe)";; esac; done
`;

/** Kinds of objects that are in no namespace, of which the chart has some. */
const KINDS =
  'runtimeclasses,clusterroles,clusterrolebindings,priorityclasses,customresourcedefinitions,' +
  'validatingadmissionpolicies,validatingadmissionpolicybindings';

const linesOf = (text: string): State =>
  [...new Set(text.split('\n').map((line) => line.trimEnd()))].filter(Boolean).sort();

const STATE_MS = 300_000;
const nodeState = async (node: string): Promise<State> =>
  linesOf(await onNode(node, NODE_STATE, STATE_MS));

interface Metadata {
  readonly name: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

/** Objects of these kinds; of each node its labels and annotations that are Sealift's. */
async function clusterState(): Promise<State> {
  const names = (...args: string[]): Promise<string> => kubectl('get', ...args, '-o', 'name');
  const networks = await names('network-attachment-definitions', '-A');
  const objects = `${await names(KINDS)}\n${networks}`.split('\n').filter(Boolean);
  const { items } = (await kubectlJson('get', 'nodes')) as { items: { metadata: Metadata }[] };
  const marks = items.flatMap(({ metadata: { name, labels, annotations } }) =>
    Object.entries({ ...labels, ...annotations })
      .filter(([key]) => key.startsWith('sealift.dev/'))
      .map(([key, value]) => `mark ${name} ${key}=${value}`),
  );
  return linesOf([...objects.map((one) => `object ${one}`), ...marks].join('\n'));
}

/** Writes down the states, but for a node that has one already. Sealift must not be there yet. */
export async function recordStates(nodes: Nodes): Promise<void> {
  for (const node of nodes)
    await onNode(node, keepingFirst(NODE_FILE, `{ ${NODE_STATE} }`), STATE_MS);
  const cluster = (await clusterState()).map((line) => `${line}\n`).join('');
  const encoded = Buffer.from(cluster).toString('base64');
  await onNode(nodes[0], keepingFirst(CLUSTER_FILE, `echo ${encoded} | base64 -d`));
}

/** A shell line that writes what another one prints into a file, whole or not at all. It leaves a file that is there. */
const keepingFirst = (file: string, line: string): string =>
  `[ -e ${file} ] || { ${line} >${file}.new && mv ${file}.new ${file}; }`;

export interface States {
  readonly nodes: ReadonlyMap<string, State>;
  readonly cluster: State;
}

export async function currentStates(nodes: Nodes): Promise<States> {
  const all = new Map<string, State>();
  for (const node of nodes) all.set(node, await nodeState(node));
  return { nodes: all, cluster: await clusterState() };
}

/** @throws NotReachedError where nobody has written them down before Sealift was installed */
export async function recordedStates(nodes: Nodes): Promise<States> {
  const read = async (node: string, file: string): Promise<State> => {
    const state = linesOf(await onNode(node, `cat ${file} 2>/dev/null || true`));
    if (state.length > 0) return state;
    throw new NotReachedError(
      `Nobody has looked at ${node} before Sealift was installed on it. Start the cluster anew, then run this case first.`,
    );
  };
  const all = new Map<string, State>();
  for (const node of nodes) all.set(node, await read(node, NODE_FILE));
  return { nodes: all, cluster: await read(nodes[0], CLUSTER_FILE) };
}

/** Lines that only one of the states has, as `- line` (gone) and `+ line` (new). */
export function differences(before: State, after: State): string[] {
  const only = (one: State, other: State, sign: string): string[] => {
    const others = new Set(other);
    return one.filter((line) => !others.has(line)).map((line) => `${sign} ${line}`);
  };
  return [...only(before, after, '-'), ...only(after, before, '+')];
}

/**
 * All but those that the installer asks for, or that these depend on. The kernel loads others by itself, for instance for a
 * pod's rules, and udev for the first RDMA device of the node (rdma-core: ib_iser, rpcrdma). They stay.
 */
const MODULES = /^. module (?!rdma_|ib_(?:core|cm|uverbs)$|iw_cm$|udp_tunnel$|ip6_udp_tunnel$)/;
/** helm leaves definitions, and with them everybody's requests. */
const DEFINITIONS = /^\+ object customresourcedefinition\S*\.sealift\.dev$/;

/** A difference that stays after an uninstall, as charts/sealift/README.md says. */
export const isExpected = (difference: string): boolean =>
  MODULES.test(difference) || DEFINITIONS.test(difference);
