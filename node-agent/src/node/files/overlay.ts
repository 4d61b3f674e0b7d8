// SPDX-License-Identifier: Apache-2.0
// Finds a container's writable layer: the upper directory of the overlay mount that is its root. pod-files.ts calls it
// before it packs the layer.
import { AgentError } from '../../support/errors.ts';

/** Both paths are the host's. */
export interface OverlayMount {
  mountPoint: string;
  upperdir: string;
}

/** mountinfo writes blanks and backslashes as \ooo (proc_pid_mountinfo(5)). */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_whole, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );

/**
 * The overlay mounted at `rootfs`, from the text of /proc/1/mountinfo. Pure.
 * @throws AgentError UnsupportedRootfs
 */
export function findOverlay(mountinfo: string, rootfs: string): OverlayMount {
  let found: OverlayMount | undefined;
  for (const line of mountinfo.split('\n')) {
    const [mount, superblock] = line.split(' - ');
    const mountPoint = unescape(mount?.split(' ')[4] ?? '');
    if (mountPoint !== rootfs || superblock === undefined) continue;
    const [type, , options = ''] = superblock.split(' ');
    if (type !== 'overlay') {
      throw new AgentError(
        'UnsupportedRootfs',
        `The container's root is a ${type ?? 'unknown'} mount, not an overlay. Use containerd's overlayfs snapshotter.`,
      );
    }
    const upper = options.split(',').find((option) => option.startsWith('upperdir='));
    if (!upper) {
      throw new AgentError(
        'UnsupportedRootfs',
        "The container's root overlay has no upper directory: it is read-only. Use containerd's overlayfs snapshotter with writable snapshots.",
      );
    }
    // The last mount at a path hides the others.
    found = { mountPoint, upperdir: unescape(upper.slice('upperdir='.length)) };
  }
  if (found) return found;
  throw new AgentError(
    'UnsupportedRootfs',
    `No overlay is mounted at the container's root ${rootfs}. Use containerd's overlayfs snapshotter.`,
  );
}
