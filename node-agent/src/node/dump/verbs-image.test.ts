// SPDX-License-Identifier: Apache-2.0
// Images as the plugin writes them, made here from the same schema: whole, and damaged in every byte.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import protobuf from 'protobufjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../support/errors.ts';
import { formatGid, openEnvelope, readVerbs } from './verbs-image.ts';

const proto = readFileSync(
  new URL('../../../../native/proto/ibverbs.proto', import.meta.url),
  'utf8',
);
const { root } = protobuf.parse(proto);
const encode = (type: string, content: object): Buffer => {
  const of = root.lookupType(`sealift.ibverbs.${type}`);
  return Buffer.from(of.encode(of.fromObject(content)).finish());
};
const envelope = (body: Buffer, change: object = {}): Buffer =>
  encode('Envelope', { magic: 0x54464c53, version: 2, crc32: crc32(body), body, ...change });

const gid = Buffer.from('00000000000000000000ffff0a090807', 'hex');
const path = { port: 1, sgidIndex: 1, sgid: gid, dgid: gid, destQpn: 9 };
const queuePair = (qpn: number, state: number) => ({
  ...{ handle: 1, qpn, type: 2, state, userHandle: 0, pd: 1, sendCq: 1, recvCq: 1 },
  ...{ sqSigAll: false, maxSendWr: 1, maxSendSge: 1, maxInline: 0, maxRecvWr: 1, maxRecvSge: 1 },
  path,
  driver: {},
});
const region = (lkey: number, rkey: number) => ({
  ...{ handle: 1, pd: 1, start: 4096, length: 4096, iova: 4096, access: 7, lkey, rkey },
});
const context = (content: object = {}) =>
  encode('Context', {
    ...{ nodePath: '/dev/infiniband/uverbs0', driver: { name: 'rxe', abi: 1 } },
    ...{ flags: 2, maxFd: 9, owner: 1 },
    cqs: [{ handle: 1, cqe: 16, userHandle: 0, driver: {} }],
    qps: [queuePair(17, 3), queuePair(18, 6)],
    mrs: [region(0x1100, 0x1101)],
    ...content,
  });

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sealift-verbs-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});
const write = (name: string, bytes: Buffer) => writeFile(join(dir, name), bytes);

describe('the images of verbs objects', () => {
  it('may have shared receive queues and address handles', async () => {
    const srq = { handle: 3, userHandle: 0, pd: 1, maxWr: 64, maxSge: 1, driver: {} };
    const ah = { handle: 4, userHandle: 0, pd: 1, path, driver: {} };
    const shared = { srqs: [srq], ahs: [ah, ah], qps: [{ ...queuePair(17, 3), srq: 3 }] };
    await write('ibverbs-0.img', envelope(context(shared)));
    const { qpns, objects } = await readVerbs(dir);
    expect([qpns, objects]).toEqual([[17], { qp: 1, cq: 1, mr: 1, srq: 1, ah: 2 }]);
  });

  it('are summed up over all contexts', async () => {
    const [one, two] = [envelope(context()), envelope(context({ qps: [], cqs: [], mrs: [] }))];
    await write('ibverbs-0.img', one);
    await write('ibverbs-1.img', two);
    await write('ibverbs-files.img', Buffer.alloc(10));
    await write('pages-1.img', Buffer.alloc(999));
    expect(await readVerbs(dir)).toEqual({
      contexts: 2,
      uverbs: '/dev/infiniband/uverbs0',
      driverAbi: 'rxe-1',
      objects: { qp: 2, cq: 1, mr: 1, srq: 0, ah: 0 },
      qpns: [17, 18],
      lkeys: [0x1100],
      rkeys: [0x1101],
      gids: ['::ffff:10.9.8.7'],
      qpStates: ['RTS', 'ERR'],
      bytes: one.length + two.length + 10,
    });
  });

  it('may be of an earlier version', async () => {
    await write('ibverbs-0.img', envelope(context(), { version: 1 }));
    expect((await readVerbs(dir)).qpns).toEqual([17, 18]);
  });

  it('are empty for a container without RDMA', async () => {
    const { contexts, objects, uverbs } = await readVerbs(dir);
    expect([contexts, objects, uverbs]).toEqual([
      0,
      { qp: 0, cq: 0, mr: 0, srq: 0, ah: 0 },
      undefined,
    ]);
  });

  it.each([
    ['a newer version', envelope(context(), { version: 3 }), 'ImageVersion'],
    ['an older version', envelope(context(), { version: 0 }), 'ImageVersion'],
    ['a wrong checksum', envelope(context(), { crc32: 1 }), 'ImageCorrupt'],
    ['another magic', envelope(context(), { magic: 1 }), 'ImageCorrupt'],
    ['a body that is not a context', envelope(Buffer.from('nonsense')), 'ImageCorrupt'],
    ['no bytes', Buffer.alloc(0), 'ImageCorrupt'],
  ])('are refused with %s', async (_what, bytes, code) => {
    await write('ibverbs-0.img', bytes);
    await expect(readVerbs(dir)).rejects.toMatchObject({ code });
  });

  it('give a reason when cut or altered anywhere, never a wrong answer', () => {
    const whole = envelope(context());
    const body = openEnvelope(whole, 'x');
    for (let at = 0; at < whole.length; at++) {
      const altered = Buffer.from(whole);
      altered[at] = (altered[at] ?? 0) ^ 0x10;
      for (const bytes of [whole.subarray(0, at), altered]) {
        try {
          // Bytes outside the body may be altered without harm.
          expect(Buffer.from(openEnvelope(bytes, 'x')).equals(body)).toBe(true);
        } catch (error) {
          if (!(error instanceof AgentError)) throw error;
          expect(['ImageCorrupt', 'ImageVersion']).toContain(error.code);
        }
      }
    }
  });
});

describe('a GID', () => {
  it.each([
    ['00000000000000000000ffff0a090807', '::ffff:10.9.8.7'],
    ['fe800000000000005054fffffe123456', 'fe80::5054:ffff:fe12:3456'],
    ['fd000077000000000000000000000001', 'fd00:77::1'],
    ['0a090807', '0a090807'],
  ])('%s is %s', (hex, text) => {
    expect(formatGid(Buffer.from(hex, 'hex'))).toBe(text);
  });
});
