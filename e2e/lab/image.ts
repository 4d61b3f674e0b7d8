// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** What goes into an image. Layers are directories, lowest first; each becomes one uncompressed layer. */
export interface ImageSpec {
  /** Full reference, e.g. `sealift.local/agent:dev`. */
  readonly name: string;
  readonly layers: readonly string[];
  readonly entrypoint: readonly string[];
  /** `KEY=value`, after the default PATH. */
  readonly env: readonly string[];
  readonly workingDir?: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Record<string, string>;
  readonly platform?: Record<string, string>;
}

const DEFAULT_ENV = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Flags that make the same tree the same bytes: order, times and owners don't come from the build machine. */
const REPRODUCIBLE = [
  '--sort=name',
  '--mtime=@0',
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--format=posix',
  '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
];

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', ...digest.split(':'));
}

/** Puts a finished file among the blobs and describes it. */
async function adopt(layout: string, path: string, mediaType: string): Promise<Descriptor> {
  const digest = await digestOf(path);
  const { size } = await stat(path);
  await rename(path, blobPath(layout, digest));
  return { mediaType, digest, size };
}

async function addJson(layout: string, value: unknown, mediaType: string): Promise<Descriptor> {
  const path = join(layout, 'blob.tmp');
  await writeFile(path, JSON.stringify(value));
  return adopt(layout, path, mediaType);
}

async function addLayer(layout: string, dir: string): Promise<Descriptor> {
  const path = join(layout, 'blob.tmp');
  execFileSync('tar', [...REPRODUCIBLE, '--one-file-system', '-C', resolve(dir), '-cf', path, '.']);
  return adopt(layout, path, 'application/vnd.oci.image.layer.v1.tar');
}

/**
 * Writes an OCI image archive that `ctr images import`, `podman load` and newer `docker load` read.
 * The same input gives the same bytes. Throws what tar or the file system reports.
 */
export async function writeImage(out: string, spec: ImageSpec): Promise<void> {
  const layout = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
    const layers: Descriptor[] = [];
    for (const dir of spec.layers) layers.push(await addLayer(layout, dir));
    const config = await addJson(
      layout,
      {
        architecture: 'amd64',
        os: 'linux',
        config: {
          Env: [DEFAULT_ENV, ...spec.env],
          Entrypoint: spec.entrypoint,
          ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
        },
        rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
        history: layers.map(() => ({ created: '1970-01-01T00:00:00Z' })),
      },
      'application/vnd.oci.image.config.v1+json',
    );
    const manifestType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = await addJson(
      layout,
      { schemaVersion: 2, mediaType: manifestType, config, layers },
      manifestType,
    );
    const entry: Descriptor = {
      ...manifest,
      platform: { architecture: 'amd64', os: 'linux' },
      annotations: {
        'io.containerd.image.name': spec.name,
        'org.opencontainers.image.ref.name': spec.name.split(':').at(-1) ?? '',
      },
    };
    await writeFile(
      join(layout, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [entry],
      }),
    );
    await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    const target = resolve(out);
    execFileSync('tar', [
      ...REPRODUCIBLE,
      '-C',
      layout,
      '-cf',
      `${target}.tmp`,
      'oci-layout',
      'index.json',
      'blobs',
    ]);
    await rename(`${target}.tmp`, target);
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}

const USAGE = `usage: image.ts [--layer DIR]... [--env KEY=value]... [--workdir DIR] OUT.tar NAME:TAG DIR ENTRYPOINT...
  --layer DIR   a layer below DIR, e.g. one that several images share (lowest first)`;

async function main(argv: string[]): Promise<number> {
  // Options end where the first operand stands: an entrypoint may have options of its own.
  let operands = 0;
  while (operands < argv.length && argv[operands]?.startsWith('--') === true) operands += 2;
  const { values } = parseArgs({
    args: argv.slice(0, operands),
    options: {
      layer: { type: 'string', multiple: true, default: [] },
      env: { type: 'string', multiple: true, default: [] },
      workdir: { type: 'string' },
    },
  });
  const [out, name, dir, ...entrypoint] = argv.slice(operands);
  if (
    out === undefined ||
    name === undefined ||
    dir === undefined ||
    !/^[^:]+.*:[^/:]+$/.test(name)
  ) {
    console.error(USAGE);
    return 2;
  }
  await writeImage(out, {
    name,
    layers: [...values.layer, dir],
    entrypoint,
    env: values.env,
    ...(values.workdir === undefined ? {} : { workingDir: values.workdir }),
  });
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
