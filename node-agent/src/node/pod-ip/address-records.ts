// SPDX-License-Identifier: Apache-2.0
// The records of CNI's host-local: a file for each address that is in use, with the id of its sandbox and the interface
// (plugins/ipam/host-local/backend/disk). A record whose id is not a sandbox's is neither given away nor released by the
// plugin. So the address of a pod that moves away stays reserved: its record gets a mark before the id. The id stays, for
// the way back.
import { randomBytes } from 'node:crypto';
import { link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isIP } from 'node:net';
import { isErrno } from '../../support/errors.ts';
import { namesIn, textOf } from '../../support/optional-file.ts';

const MARK = 'sealift ';
/** No address, so the plugin gives it to nobody. */
const TEMPORARY = 'sealift-record';

export interface AddressRecord {
  readonly address: string;
  readonly isReserved: boolean;
  /** Id of the sandbox that has, or had, the address; empty for a reservation that was made without one. */
  readonly sandboxId: string;
}

export class AddressRecords {
  readonly #dir: string;
  readonly #mark: string;

  /** @param mark of a reservation; each purpose has its own, and ends only its own reservations */
  constructor(dir: string, mark = MARK) {
    this.#dir = dir;
    this.#mark = mark;
  }

  async list(): Promise<AddressRecord[]> {
    const records: AddressRecord[] = [];
    for (const address of await namesIn(this.#dir)) {
      if (isIP(address) === 0) continue;
      const content = await this.#read(address);
      if (content !== undefined) records.push({ address, ...this.#parse(content) });
    }
    return records;
  }

  /**
   * Reserves an address that this node's plugin has given to a sandbox. May be repeated.
   * @returns false: it has given it to none
   */
  async reserve(address: string): Promise<boolean> {
    const content = await this.#read(address);
    if (content === undefined) return false;
    if (!content.startsWith(this.#mark)) await this.#replace(address, this.#mark + content);
    return true;
  }

  /** Reserves an address that nobody has. @returns false: somebody has it */
  async reserveFree(address: string): Promise<boolean> {
    const temporary = this.#temporary();
    await mkdir(this.#dir, { recursive: true });
    await writeFile(temporary, this.#mark);
    try {
      await link(temporary, join(this.#dir, address));
      return true;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      return (await this.#read(address))?.startsWith(this.#mark) ?? false;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Ends a reservation. @param hasSandbox the sandbox is there still and has the address again, until it is deleted */
  async release({ address, isReserved }: AddressRecord, hasSandbox: boolean): Promise<void> {
    const content = await this.#read(address);
    if (!isReserved || content === undefined || !content.startsWith(this.#mark)) return;
    if (hasSandbox) await this.#replace(address, content.slice(this.#mark.length));
    else await rm(join(this.#dir, address), { force: true });
  }

  #read(address: string): Promise<string | undefined> {
    return textOf(join(this.#dir, address));
  }

  /** The address is never without a record in between. */
  async #replace(address: string, content: string): Promise<void> {
    const temporary = this.#temporary();
    await writeFile(temporary, content);
    await rename(temporary, join(this.#dir, address));
  }

  #temporary(): string {
    return join(this.#dir, `${TEMPORARY}-${randomBytes(4).toString('hex')}`);
  }

  #parse(content: string): Omit<AddressRecord, 'address'> {
    const isReserved = content.startsWith(this.#mark);
    const id = isReserved ? content.slice(this.#mark.length) : content;
    const [sandboxId = ''] = id.split(/\r?\n/);
    return { isReserved, sandboxId: sandboxId.trim() };
  }
}
