// SPDX-License-Identifier: Apache-2.0
// Volumes that the kubelet makes from objects of the API: ConfigMap, Secret, projected, downward API. The target's kubelet makes
// them anew, under other names and perhaps with newer content. The agent gives them the names and the content that the pod's
// processes have open or watch; the kubelet then updates them. pod-files.ts calls this.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { AgentError, unlessErrno } from '../../support/errors.ts';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { publishAgain, readPublished, type Published } from './published-directory.ts';

/** Name in the directory of images. Its entries are `<plugin>/<volume>/data/<path>` and `<plugin>/<volume>/links/<name>`. */
const API_VOLUMES = 'api-volumes.tar';

/** The kubelet's directories of such volumes, below those of a pod. */
const PLUGINS = ['configmap', 'secret', 'projected', 'downward-api'];
/** Admission gives the volume of a service account's token another name in each pod (plugin/pkg/admission/serviceaccount). */
const TOKEN = 'kube-api-access-';

const directoryOf = (podUid: string, plugin: string): string =>
  `/var/lib/kubelet/pods/${podUid}/volumes/kubernetes.io~${plugin}`;

/**
 * Packs the pod's volumes of the API as they are now. The tasks are frozen, but the kubelet may go on updating them: called before
 * CRIU's dump, so that what happens later reaches the target as an update.
 * @param dir of the images, on the host
 * @throws AgentError UnsupportedObject
 */
export async function packApiVolumes(host: Host, podUid: string, dir: string): Promise<void> {
  const pack = tar.pack();
  let count = 0;
  const file = host.path(join(dir, API_VOLUMES));
  for (const plugin of PLUGINS) {
    const parent = host.path(directoryOf(podUid, plugin));
    for (const name of (await namesIn(parent)).sort()) {
      const published = await readPublished(join(parent, name));
      if (!published) continue;
      addVolume(pack, `${plugin}/${name}`, published);
      count++;
    }
  }
  pack.finalize();
  await rm(file, { force: true });
  if (count === 0) return;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await pipeline(pack, createWriteStream(file, { mode: 0o600 }));
}

function addVolume(pack: tar.Pack, at: string, { live, files, links }: Published): void {
  pack.entry({ name: `${at}/live`, type: 'symlink', linkname: live });
  for (const name of links) pack.entry({ name: `${at}/links/${name}` }, '');
  for (const [path, { content, ...owner }] of files) {
    const header = { name: `${at}/data/${path}`, ...owner };
    if (content === undefined) pack.entry({ ...header, type: 'directory' });
    else pack.entry({ ...header, size: content.length }, content);
  }
}

/**
 * Gives the volumes of a new pod the names and the content of the packed ones. Called before each container is restored: the kubelet
 * looks at the pod again between two of them if the first is a sidecar. Does nothing for images without such volumes.
 * @param dir of the images, on the host
 * @throws AgentError RestoreFailed, ImageCorrupt
 */
export async function unpackApiVolumes(host: Host, podUid: string, dir: string): Promise<void> {
  const file = host.path(join(dir, API_VOLUMES));
  if ((await unlessErrno(stat(file), 'ENOENT')) === undefined) return;
  for (const [volume, published] of await readVolumes(file)) {
    const [plugin = '', name = ''] = volume.split('/');
    const parent = host.path(directoryOf(podUid, plugin));
    const own = volumeOf(name, await namesIn(parent));
    // CRIU says it if a container has such a volume, but the new pod does not.
    if (own !== undefined) await publishAgain(join(parent, own), published);
  }
}

/** The new pod's volume that stands for the packed one. */
function volumeOf(name: string, present: readonly string[]): string | undefined {
  if (present.includes(name) || !name.startsWith(TOKEN)) {
    return present.find((one) => one === name);
  }
  const tokens = present.filter((one) => one.startsWith(TOKEN));
  return tokens.length === 1 ? tokens[0] : undefined;
}

/** By `<plugin>/<volume>`. @throws AgentError ImageCorrupt */
async function readVolumes(file: string): Promise<Map<string, Published>> {
  const volumes = new Map<string, Published>();
  const extract = tar.extract();
  const feeding = pipeline(createReadStream(file), extract);
  const reading = (async () => {
    for await (const entry of extract) addEntry(volumes, entry.header, await buffer(entry));
  })();
  await Promise.all([feeding, reading]);
  return volumes;
}

function addEntry(volumes: Map<string, Published>, header: tar.Header, content: Buffer): void {
  const [plugin = '', name = '', what, ...rest] = header.name.replace(/\/$/, '').split('/');
  const path = rest.join('/');
  const key = `${plugin}/${name}`;
  const volume: Published = volumes.get(key) ?? { live: '', files: new Map(), links: [] };
  volumes.set(key, volume);
  const isKnown = PLUGINS.includes(plugin) && name !== '' && !name.startsWith('.');
  if (isKnown && what === 'live') volume.live = header.linkname ?? '';
  else if (isKnown && what === 'links') volume.links.push(path);
  else if (isKnown && what === 'data') volume.files.set(path, fileOf(header, content));
  else throw new AgentError('ImageCorrupt', `${API_VOLUMES} has an entry ${header.name}.`);
}

function fileOf({ type, mode = 0, uid = 0, gid = 0 }: tar.Header, content: Buffer) {
  return { mode, uid, gid, ...(type === 'directory' ? {} : { content }) };
}
