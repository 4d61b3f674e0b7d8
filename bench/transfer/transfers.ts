// SPDX-License-Identifier: Apache-2.0
// One node's side of the transfer figure: the agent's own sender and receiver, and the same files by a plain TCP stream.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { createServer, connect, type Server } from 'node:net';
import { join } from 'node:path';
import { randomFillSync } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { silent } from '../../kube/src/index.ts';
import { ImageStore } from '../../node-agent/src/node/transfer/image-store.ts';
import { PlainFiles } from '../../node-agent/src/node/transfer/image-files.ts';
import { Receiver } from '../../node-agent/src/node/transfer/receiver.ts';
import { sendImages } from '../../node-agent/src/node/transfer/sender.ts';
import {
  MANIFEST_VERSION,
  type ManifestHeader,
} from '../../node-agent/src/node/transfer/manifest.ts';
import { nowMs } from '../src/api-log.ts';

const AGENT_PORT = 7470;
const TCP_PORT = 7471;
const ID = 'bench';
const header: ManifestHeader = {
  ...{ version: MANIFEST_VERSION, id: ID, createdAt: '', versions: { sealift: '0', kernel: '6' } },
  ...{ containers: [{ name: 'main' }], volumes: [], objects: { qp: 0, cq: 0, mr: 0 } },
  identity: { qpns: [], lkeys: [], rkeys: [], gids: [], ips: [], macs: [] },
  bytes: { pages: 0, verbs: 0, rootfs: 0 },
};

export interface TransferPlace {
  /** Directory on the disk. */
  readonly directory: string;
  readonly certificates: string;
  /** Own name and address. */
  readonly name: string;
  readonly address: string;
}

export class Transfers {
  readonly #of: TransferPlace;
  #receiver: Receiver | undefined;
  #server: Server | undefined;

  constructor(of: TransferPlace) {
    this.#of = of;
  }

  get #images(): string {
    return join(this.#of.directory, 'transfer', ID);
  }

  /** Writes one file of random bytes, as CRIU's pages are one file. */
  async make(bytes: number): Promise<void> {
    await rm(this.#images, { recursive: true, force: true });
    await mkdir(join(this.#images, 'main'), { recursive: true });
    const file = await open(join(this.#images, 'main', 'pages-1.img'), 'w');
    const chunk = Buffer.alloc(1 << 20);
    for (let left = bytes; left > 0; left -= chunk.length) {
      await file.write(randomFillSync(chunk).subarray(0, Math.min(left, chunk.length)));
    }
    await file.sync();
    await file.close();
  }

  /** Receives by both ways until the process ends. The TCP stream goes to a file too, but nothing syncs it. */
  async listen(): Promise<void> {
    const received = join(this.#of.directory, 'received');
    await mkdir(received, { recursive: true });
    this.#receiver = new Receiver({
      store: new ImageStore(received),
      certificateDir: this.#of.certificates,
      log: silent,
      expected: (id) => ({ imageId: id, node: 'a' }),
      received: () => undefined,
      failed: () => undefined,
    });
    await this.#receiver.listen(AGENT_PORT, this.#of.address);
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const output = createWriteStream(join(received, 'plain'));
      pipeline(socket, output).then(
        () => socket.end('ok'),
        () => socket.destroy(),
      );
    });
    await new Promise<void>((resolve) =>
      this.#server?.listen(TCP_PORT, this.#of.address, () => resolve()),
    );
  }

  /** @returns milliseconds from the call to the receiver's answer */
  async sendByAgent(to: string): Promise<number> {
    const from = nowMs();
    await sendImages({
      ...{ address: `${to}:${AGENT_PORT}`, node: 'b', id: ID },
      images: new PlainFiles(this.#images),
      // The receiver keeps images that it has already.
      manifest: { ...header, createdAt: String(from) },
      certificateDir: this.#of.certificates,
    });
    return nowMs() - from;
  }

  /** The same file. @returns milliseconds from the connect to the other side's answer */
  async sendByTcp(to: string): Promise<number> {
    const from = nowMs();
    const socket = connect(TCP_PORT, to);
    const answered = new Promise<void>((resolve, reject) => {
      socket.once('data', () => resolve());
      socket.once('error', reject);
    });
    createReadStream(join(this.#images, 'main', 'pages-1.img'), { highWaterMark: 1 << 20 }).pipe(
      socket,
    );
    await answered;
    socket.destroy();
    return nowMs() - from;
  }

  /** Bytes of all files in a directory and below it. */
  async sizeOf(directory: string): Promise<number> {
    let bytes = 0;
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
    }
    return bytes;
  }
}
