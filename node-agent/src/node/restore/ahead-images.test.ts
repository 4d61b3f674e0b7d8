// SPDX-License-Identifier: Apache-2.0
// The directory in which a runc that was started ahead waits for its images, on a real file system.
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { TestDirectories } from '../../testing/images.ts';
import { AheadImages } from './ahead-images.ts';

const directories = new TestDirectories();
let root: string;
let work: string;
let images: string;
let ahead: AheadImages;
const calls: string[] = [];

beforeEach(async () => {
  root = await directories.fresh();
  [work, images] = [join(root, 'work'), join(root, 'images')];
  await mkdir(images);
  await writeFile(join(images, 'descriptors.json'), '["/dev/null"]');
  await writeFile(join(images, 'pages-1.img'), 'pages');
  calls.length = 0;
  ahead = new AheadImages({
    path: (path: string) => path,
    check: async (file: string, args: readonly string[]) => {
      calls.push(file);
      execFileSync(file, [...args]);
      return '';
    },
  });
});

const isFifo = async (path: string): Promise<boolean> => (await lstat(path)).isFIFO();

describe('images of a runc that waits', () => {
  it('are linked beside the FIFO, which stays until the shim lets runc go on', async () => {
    const dir = await ahead.make(work);
    expect(await readdir(dir)).toEqual(['descriptors.json']);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect(await ahead.link(images, work)).toBe(dir);
    expect((await readdir(dir)).sort()).toEqual([
      'descriptors.json',
      'descriptors.json.ready',
      'pages-1.img',
    ]);
    expect(await isFifo(join(dir, 'descriptors.json'))).toBe(true);
    expect(await readFile(join(dir, 'descriptors.json.ready'), 'utf8')).toBe('["/dev/null"]');
    // No copy.
    expect((await stat(join(dir, 'pages-1.img'))).ino).toBe(
      (await stat(join(images, 'pages-1.img'))).ino,
    );
  });

  it('keep their FIFO when the create asks again: runc has it open', async () => {
    const dir = await ahead.make(work);
    const { ino } = await lstat(join(dir, 'descriptors.json'));
    await ahead.make(work);
    expect((await lstat(join(dir, 'descriptors.json'))).ino).toBe(ino);
    expect(calls).toEqual(['mkfifo']);
  });

  it('replace what another attempt has linked', async () => {
    const dir = await ahead.make(work);
    await ahead.link(images, work);
    await rm(images, { recursive: true });
    await mkdir(images);
    await writeFile(join(images, 'descriptors.json'), '[]');
    await writeFile(join(images, 'pages-1.img'), 'others');
    expect(await ahead.link(images, work)).toBe(dir);
    expect(await readFile(join(dir, 'pages-1.img'), 'utf8')).toBe('others');
    expect(await readFile(join(dir, 'descriptors.json.ready'), 'utf8')).toBe('[]');
  });

  it('stay where they are if nobody waits, or somebody has gone on', async () => {
    expect(await ahead.link(images, work)).toBeUndefined();
    const dir = await ahead.make(work);
    await rm(join(dir, 'descriptors.json'));
    await writeFile(join(dir, 'descriptors.json'), '[]');
    expect(await ahead.link(images, work)).toBeUndefined();
    expect(await readdir(dir)).toEqual(['descriptors.json']);
  });

  it('stay where they are if one cannot be linked', async () => {
    const dir = await ahead.make(work);
    // Nobody can link a directory, whatever the disk has left.
    await mkdir(join(images, 'odd'));
    expect(await ahead.link(images, work)).toBeUndefined();
    expect(await isFifo(join(dir, 'descriptors.json'))).toBe(true);
    await rm(images, { recursive: true });
    expect(await ahead.link(images, work)).toBeUndefined();
  });

  it('get a directory of their own after a runc that has gone on', async () => {
    const dir = await ahead.make(work);
    await rm(join(dir, 'descriptors.json'));
    await writeFile(join(dir, 'old.img'), '');
    expect(await ahead.make(work)).toBe(dir);
    expect(await readdir(dir)).toEqual(['descriptors.json']);
  });

  it('get none if the FIFO cannot be made', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(ahead.make(join(root, 'file'))).rejects.toThrow('ENOTDIR');
  });
});
