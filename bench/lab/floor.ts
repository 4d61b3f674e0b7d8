// SPDX-License-Identifier: Apache-2.0
// What the lab's nodes do without Sealift: runc checkpoints and restores such a container, and TCP carries the bytes.
import { onNode } from '../../e2e/src/cluster.ts';
import { provider } from '../../e2e/src/provider/choice.ts';

const RUNC = '/opt/sealift/bin/runc';
const DIRECTORY = '/var/lib/sealift-bench';
const ENVIRONMENT = 'CRIU_CONFIG_FILE=/opt/sealift/etc/criu.conf PATH=/opt/sealift/bin:$PATH';
const LIMIT_MS = 240_000;

/**
 * Runs the container of a pod once more on its node, outside of Kubernetes: same bundle, same root, own cgroup and network
 * namespace. Checkpoints and restores it by runc and CRIU alone.
 * @returns milliseconds of both commands together
 */
export async function floorMs(
  node: string,
  podName: string,
  settleSeconds: number,
): Promise<number> {
  const bundle = (
    await onNode(
      node,
      `grep -l '"io.kubernetes.cri.sandbox-name":"${podName}"' /run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json | xargs grep -l '"io.kubernetes.cri.container-type":"container"' | head -1 | xargs dirname`,
    )
  ).trim();
  const text = await onNode(node, `cat ${bundle}/config.json`);
  const config = Buffer.from(JSON.stringify(aloneOf(JSON.parse(text) as Spec, bundle)));
  const common = `--image-path ${DIRECTORY}/images --work-path ${DIRECTORY} --tcp-established --file-locks --manage-cgroups-mode ignore`;
  const runc = `${ENVIRONMENT} ${RUNC} --root ${DIRECTORY}/state`;
  const lines = [
    `rm -rf ${DIRECTORY} && mkdir -p ${DIRECTORY}/bundle ${DIRECTORY}/images`,
    `echo ${config.toString('base64')} | base64 -d >${DIRECTORY}/bundle/config.json`,
    // Pipes, as under containerd: CRIU restores those.
    `${runc} run --detach --bundle ${DIRECTORY}/bundle bench </dev/null > >(exec cat >/dev/null) 2>&1`,
    `sleep ${settleSeconds}`,
    'before=$(date +%s%N)',
    `${runc} checkpoint ${common} bench`,
    `${runc} restore --detach --bundle ${DIRECTORY}/bundle ${common} bench </dev/null > >(exec cat >/dev/null) 2>&1`,
    'echo "took $((($(date +%s%N) - before) / 1000))"',
    `${runc} delete --force bench`,
    `rm -rf ${DIRECTORY}`,
  ];
  const script = Buffer.from(lines.join('\n')).toString('base64');
  const output = await onNode(node, `echo ${script} | base64 -d | bash -eu`, LIMIT_MS);
  const took = /took (\d+)/.exec(output)?.[1];
  if (took === undefined)
    throw new Error(`${node} does not say how long runc has taken: ${output}`);
  return Number(took) / 1000;
}

interface Spec {
  root: { path: string };
  hostname?: string;
  mounts: { type?: string; destination: string }[];
  linux: { cgroupsPath?: string; namespaces: { type: string; path?: string }[] };
}

/** The bundle without what belongs to its pod: cgroup, namespaces, and mounts of the kubelet. */
function aloneOf(spec: Spec, bundle: string): Spec {
  return {
    ...spec,
    root: { ...spec.root, path: `${bundle}/rootfs` },
    mounts: spec.mounts.filter((one) => one.type !== 'bind'),
    linux: {
      ...spec.linux,
      cgroupsPath: '/sealift-bench/bench',
      namespaces: spec.linux.namespaces.map(({ type }) => ({ type })),
    },
  };
}

/** @returns milliseconds in which a TCP stream carries the bytes from node to node, from memory to memory */
export async function tcpMs(from: string, to: string, bytes: number): Promise<number> {
  const address = await provider.addressOf({ node: to });
  const port = 7999;
  const listen = `timeout 200 socat -u TCP-LISTEN:${port},reuseaddr OPEN:/dev/null`;
  const listening = onNode(to, listen, LIMIT_MS);
  const output = await onNode(
    from,
    `sleep 2; before=$(date +%s%N); head -c ${bytes} /dev/zero | socat -u -b 1048576 STDIN TCP:${address}:${port}; echo "took $((($(date +%s%N) - before) / 1000))"`,
    LIMIT_MS,
  );
  await listening;
  const took = /took (\d+)/.exec(output)?.[1];
  if (took === undefined) throw new Error(`${from} does not say how long TCP has taken: ${output}`);
  return Number(took) / 1000;
}
