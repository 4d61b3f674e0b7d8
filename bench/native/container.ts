// SPDX-License-Identifier: Apache-2.0
// A container as containerd lays it out on a node: bundle, overlay, annotations of the CRI plugin.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BUNDLES } from '../../node-agent/src/node/runtime/containers.ts';
import { runHere } from '../../node-agent/src/node/host/host.ts';

export interface ContainerPlace {
  readonly id: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly sandboxId: string;
  readonly container: string;
  /** Path of the sandbox's network namespace. */
  readonly netns: string;
  /** Directory with the image's files. */
  readonly image: string;
  /** Directory on the node's disk for the writable layer. */
  readonly layers: string;
  readonly args: readonly string[];
}

const capabilities = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

/** Makes bundle and overlay. @returns the bundle's directory, and the one of the writable layer */
export async function makeContainer(
  place: ContainerPlace,
): Promise<{ bundle: string; upper: string }> {
  const bundle = join(BUNDLES, place.id);
  const [upper, work] = ['upper', 'work'].map((name) => join(place.layers, place.id, name)) as [
    string,
    string,
  ];
  const rootfs = join(bundle, 'rootfs');
  for (const dir of [rootfs, upper, work]) await mkdir(dir, { recursive: true });
  const layers = `lowerdir=${place.image},upperdir=${upper},workdir=${work}`;
  await runHere('mount', ['-t', 'overlay', 'overlay', '-o', layers, rootfs]);
  await writeFile(join(bundle, 'config.json'), JSON.stringify(specOf(place, rootfs)));
  return { bundle, upper };
}

const CRI = 'io.kubernetes.cri.';

/** OCI runtime specification, config.md. */
function specOf({ id, pod, sandboxId, container, netns, args }: ContainerPlace, path: string) {
  const mount = (destination: string, type: string, ...options: string[]) => ({
    ...{ destination, type, source: type, options: ['nosuid', 'noexec', ...options] },
  });
  return {
    ociVersion: '1.1.0',
    annotations: {
      [`${CRI}container-type`]: 'container',
      [`${CRI}container-name`]: container,
      [`${CRI}sandbox-id`]: sandboxId,
      [`${CRI}sandbox-namespace`]: pod.namespace,
      [`${CRI}sandbox-name`]: pod.name,
      [`${CRI}sandbox-uid`]: pod.uid,
    },
    process: {
      ...{ user: { uid: 0, gid: 0 }, cwd: '/', args, env: ['PATH=/bin'], noNewPrivileges: true },
      capabilities: {
        ...{ bounding: capabilities, effective: capabilities, permitted: capabilities },
      },
    },
    root: { path, readonly: false },
    mounts: [
      mount('/proc', 'proc', 'nodev'),
      mount('/dev', 'tmpfs', 'strictatime', 'mode=755'),
      mount('/dev/mqueue', 'mqueue', 'nodev'),
      mount('/sys', 'sysfs', 'nodev', 'ro'),
      mount('/sys/fs/cgroup', 'cgroup', 'nodev', 'relatime', 'ro'),
    ],
    linux: {
      cgroupsPath: `/sealift-bench/${id}`,
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
        { type: 'network', path: netns },
      ],
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}
