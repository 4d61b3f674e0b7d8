// SPDX-License-Identifier: Apache-2.0
// How much memory a pod needs on the node that it moves to, and how much a node has for it. The agent of the pod's node reports
// the first, each agent the second, with its Lease. Pure.
import { z } from 'zod';
import { atomicList, Count } from './atoms.ts';

const HugePages = z.object({
  pageSize: Count.meta({ description: 'Bytes of one page.' }),
  bytes: Count.meta({ description: 'Bytes of all of them.' }),
});

export const PodMemory = z
  .object({
    bytes: Count.meta({
      description:
        'Bytes of memory of its own: what no file backs, on swap too, memory-backed volumes, locked pages of files, and what the kernel ' +
        'keeps for it. Not what can be dropped and read again.',
    }),
    imageBytes: Count.optional().meta({
      description: 'Bytes that its images take at least: of memory that no file backs.',
    }),
    hugePages: z
      .array(HugePages)
      .max(8)
      .optional()
      .meta({ description: 'Huge pages, by their size. Absent: none.', ...atomicList }),
  })
  .meta({
    description:
      'How much memory the pod takes on the node that it moves to. It is rounded up, so that it is written seldom.',
  });
export type PodMemory = z.infer<typeof PodMemory>;

export interface NodeMemory {
  /** Bytes that can be had without swapping. */
  readonly available: number;
  /** Bytes of free huge pages, by the size of a page. */
  readonly hugePages: ReadonlyMap<number, number>;
  /** Arriving images are kept in memory, too: their directory is on a tmpfs. */
  readonly keepsImages: boolean;
}

const AVAILABLE = 'available';
const HUGE_PAGES = 'hugepages-';
const IMAGES = 'images=memory';
const RENEWED = 'renewed=';

/**
 * As the annotation `sealift.dev/memory` of the agent's Lease: `available=1073741824,hugepages-2097152=0,renewed=...`.
 * @param renewTime with which the Lease is renewed
 */
export function formatNodeMemory(
  { available, hugePages, keepsImages }: NodeMemory,
  renewTime: string,
): string {
  const pages = [...hugePages].map(([size, bytes]) => `${HUGE_PAGES}${size}=${bytes}`);
  const images = keepsImages ? [IMAGES] : [];
  return [`${AVAILABLE}=${available}`, ...pages, ...images, `${RENEWED}${renewTime}`].join(',');
}

const NUMBER = /^\d{1,15}$/;

/**
 * @param renewTime of the Lease. An agent of an earlier version renews a later one's Lease and leaves its annotation: that is old
 * then. No clock is asked.
 * @returns undefined: the agent does not say it, or not so that this one understands it
 */
export function parseNodeMemory(
  text: string | undefined,
  renewTime: string | null | undefined,
): NodeMemory | undefined {
  const fields = (text ?? '').split(',');
  if (!renewTime || !fields.includes(`${RENEWED}${renewTime}`)) return undefined;
  let available: number | undefined;
  const hugePages = new Map<number, number>();
  for (const field of fields) {
    const [name = '', value = ''] = field.split('=');
    if (!NUMBER.test(value)) continue;
    const size = name.startsWith(HUGE_PAGES) ? name.slice(HUGE_PAGES.length) : '';
    if (name === AVAILABLE) available = Number(value);
    else if (NUMBER.test(size)) hugePages.set(Number(size), Number(value));
  }
  if (available === undefined) return undefined;
  return { available, hugePages, keepsImages: fields.includes(IMAGES) };
}

/** Kept free beside what arrives: above the kubelet's default threshold of an eviction (memory.available<100Mi), which counts otherwise. */
const SPARE_BYTES = 192 * 2 ** 20;
/** And for what the restore itself needs, and what both have grown by since they were read. */
const SPARE_PART = 1 / 32;

/** What has to be available for a pod of so many bytes. */
export function neededBytes(bytes: number, keepsImages = false): number {
  return Math.ceil(bytes * (1 + SPARE_PART) + (keepsImages ? bytes : 0) + SPARE_BYTES);
}

/** Bytes of the largest pod that a node has room for. */
export function roomIn({ available, keepsImages }: NodeMemory): number {
  const part = 1 + SPARE_PART + (keepsImages ? 1 : 0);
  return Math.max(0, Math.floor((available - SPARE_BYTES) / part));
}

/**
 * @param taken bytes that other pods on their way to the node will take
 * @returns why the node has no room for the pod, as the end of a sentence; undefined: it has, or does not say how much
 */
export function lacksMemory(
  pod: PodMemory | undefined,
  node: NodeMemory | undefined,
  taken = 0,
): string | undefined {
  if (!pod || !node) return undefined;
  const { available, keepsImages } = node;
  const needed = neededBytes(pod.bytes, keepsImages);
  const gone = keepsImages ? 2 * taken : taken;
  if (available - gone < needed) {
    const images = keepsImages ? ' and its images' : '';
    const others = gone > 0 ? `, of which pods on their way there take ${bytesText(gone)}` : '';
    return `has ${bytesText(available)} of memory available${others}; the pod${images} and some to spare need ${bytesText(needed)}`;
  }
  for (const { pageSize, bytes } of pod.hugePages ?? []) {
    const free = node.hugePages.get(pageSize) ?? 0;
    if (free < bytes)
      return `has ${bytesText(free)} of free huge pages of ${binary(pageSize)}; the pod has ${bytesText(bytes)}`;
  }
  return undefined;
}

/** For people, and exact: `1.5 GiB (1610612736 bytes)`. */
const bytesText = (bytes: number): string =>
  bytes < 1024 ? `${bytes} bytes` : `${binary(bytes)} (${bytes} bytes)`;

function binary(bytes: number): string {
  const [value, unit] = inUnits(bytes);
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit ?? 'bytes'}`;
}

/** In the largest unit of which there is one at least; bytes have none. */
export function inUnits(bytes: number): readonly [value: number, unit: string | undefined] {
  const units = [undefined, 'KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [bytes, 0];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return [value, units[unit]];
}

/** What a pod reports at first beyond what it has, and again once it has grown beyond that. */
const HEADROOM = 1 / 16;
/** A pod that has shrunk below this part of what was reported reports anew. */
const SHRUNK = 1 / 2;

/** What to report of a pod that has so much now: the same as before as long as that is about right. Each report is a write. */
export function reportedMemory(now: PodMemory, before: PodMemory | undefined): PodMemory {
  const pages = (memory: PodMemory): string => JSON.stringify(memory.hugePages ?? []);
  if (before && pages(now) === pages(before)) {
    if (now.bytes <= before.bytes && now.bytes >= before.bytes * SHRUNK) return before;
  }
  const mib = Math.ceil((now.bytes * (1 + HEADROOM)) / 2 ** 20);
  return { ...now, bytes: mib * 2 ** 20 };
}
