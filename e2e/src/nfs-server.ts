// SPDX-License-Identifier: Apache-2.0
// A file server for volumes that several nodes mount: the kernel's own NFS server on one of the nodes. No program of nfs-utils is
// needed: what its daemons would answer is written into the kernel's caches beforehand (Documentation/filesystems/nfs/rpc-cache.rst,
// fs/nfsd/export.c).
import { onNode } from './cluster.ts';
import { provider } from './provider/choice.ts';

/** Never, as far as the caches are concerned. */
const EXPIRY = 2147483647;
/** include/uapi/linux/nfsd/export.h: any port, no check of subtrees, a file system number of its own. Root stays root. */
const FLAGS = 0x2 | 0x400 | 0x2000;
const DIRECTORY = '/srv/sealift-nfs';

export class NfsServer {
  readonly #node: string;
  readonly address: string;

  private constructor(node: string, address: string) {
    this.#node = node;
    this.address = address;
  }

  /** @param clients nodes that may mount the volume */
  static async start(node: string, clients: readonly string[]): Promise<NfsServer> {
    const address = await provider.addressOf({ node });
    const addresses = await Promise.all(clients.map((one) => provider.addressOf({ node: one })));
    const lines = [
      'set -e',
      'modprobe nfsd',
      'mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd',
      `mkdir -p ${DIRECTORY} /var/lib/nfs/v4recovery`,
      `chmod 1777 ${DIRECTORY}`,
      // Version 3 needs a port mapper. What a client may reclaim after a restart of the server is waited for 10 s, not 90.
      'if [ "$(cat /proc/fs/nfsd/threads)" = 0 ]; then',
      'echo 10 > /proc/fs/nfsd/nfsv4leasetime; echo 10 > /proc/fs/nfsd/nfsv4gracetime',
      'echo -3 > /proc/fs/nfsd/versions',
      "echo 'tcp 2049' > /proc/fs/nfsd/portlist",
      'echo 4 > /proc/fs/nfsd/threads; fi',
      ...addresses.map((one) => tell('auth.unix.ip', `nfsd ${one} ${EXPIRY} lab`)),
      tell('nfsd.export', `lab ${DIRECTORY} ${EXPIRY} ${FLAGS} 65534 65534 0`),
      tell('nfsd.fh', `lab 1 \\\\x00000000 ${EXPIRY} ${DIRECTORY}`),
    ];
    await onNode(node, lines.join('\n'));
    return new NfsServer(node, address);
  }

  /** A PersistentVolume of the whole server. The nodes have no mount.nfs, which would look the server's address up. */
  volume(name: string, accessModes: readonly string[]): object {
    return {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        accessModes,
        capacity: { storage: '1Gi' },
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: '',
        mountOptions: ['vers=4.2', `addr=${this.address}`],
        nfs: { server: this.address, path: '/' },
      },
    };
  }

  /** Runs a shell line in the directory that is served. */
  run(line: string): Promise<string> {
    return onNode(this.#node, `cd ${DIRECTORY} && ${line}`);
  }

  /** Only when nobody has the volume mounted any more: its mounts would wait for the server. */
  async stop(): Promise<void> {
    const lines = [
      'echo 0 > /proc/fs/nfsd/threads',
      'for one in auth.unix.ip nfsd.export nfsd.fh; do echo 2147483647 > /proc/net/rpc/$one/flush; done',
      'umount /proc/fs/nfsd || true',
      `rm -rf ${DIRECTORY} /var/lib/nfs`,
      'modprobe -r nfsd || true',
    ];
    await onNode(this.#node, lines.join('\n'));
  }
}

/** An entry of one of the kernel's caches: one write. */
const tell = (cache: string, entry: string): string =>
  `printf '${entry}\\n' > /proc/net/rpc/${cache}/channel`;
