// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { reasonInLog } from './criu-log.ts';

describe('a log of CRIU', () => {
  it.each([
    ['sealift: unsupported: SRQ 3: use no shared receive queues', 'UnsupportedObject'],
    ['sealift: image-version: ibverbs-0.img has version 9', 'ImageVersion'],
    ['sealift: driver-abi: the image is of driver rxe with ABI 9', 'ImageVersion'],
    ['sealift: image-damaged: ibverbs-0.img was altered', 'ImageCorrupt'],
    ['sealift: image-missing: ibverbs-0.img', 'ImageTruncated'],
    ['(00.1) Error (ibverbs): sealift: gid: no address at index 3', 'RestoreFailed'],
    ['(00.1) Error (criu/mem.c:9): write: No space left on device', 'DiskFull'],
    ["(00.1) Error (criu/sk-unix.c:9): Can't dump half of a stream", 'UnsupportedObject'],
    ['(00.1) Error (criu/tun.c:9): something else', 'RestoreFailed'],
    ['', 'RestoreFailed'],
  ])('%s', (line, code) => {
    const log = `(00.0) Version: 4.1.1\n${line}\n(00.2) Error (criu/cr-restore.c:1): Restoring FAILED.\n`;
    expect(reasonInLog(line ? log : '', 'RestoreFailed').code).toBe(code);
  });

  it('says what to do about an image', () => {
    const message = (line: string) => reasonInLog(`Error (ibverbs): ${line}\n`, 'Internal').message;
    expect(message('sealift: image-missing: ibverbs-0.img')).toBe(
      'ibverbs-0.img is not among the images. Take a new checkpoint.',
    );
    expect(message('sealift: image-damaged: x was altered')).toBe(
      'x was altered. Take a new checkpoint.',
    );
  });

  it('gives the first error as the message', () => {
    const log =
      '(00.1) Error (criu/files.c:7): no file\n(00.2) Error (criu/x.c:1): Restoring FAILED.\n';
    expect(reasonInLog(log, 'RestoreFailed')).toEqual({
      code: 'RestoreFailed',
      message: 'no file',
    });
  });
});
