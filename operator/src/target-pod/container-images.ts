// SPDX-License-Identifier: Apache-2.0
// Pins a target's images to what runs on the source: the files that CRIU opens have to be the same. Pure.

/** What a pod's status says of its containers; the fields that are read here. */
export interface RunningImages {
  readonly containerStatuses?: readonly RunningImage[];
  readonly initContainerStatuses?: readonly RunningImage[];
}
interface RunningImage {
  readonly name: string;
  readonly imageID?: string;
}

/** @returns the image that a container runs, by its name: `<repository>@sha256:...`, or only a digest */
export function runningImages(status: RunningImages | undefined): ReadonlyMap<string, string> {
  const { containerStatuses = [], initContainerStatuses = [] } = status ?? {};
  const all = [...initContainerStatuses, ...containerStatuses];
  return new Map(all.map(({ name, imageID = '' }) => [name, imageID]));
}

/**
 * The reference with the digest of what runs. Without one that a registry resolves it stays: the image ID of an image that
 * was loaded into the node's store is the digest of its configuration, and no kubelet finds an image by that. The same
 * holds for an image ID of another repository, a mirror's for instance, which another node may not reach.
 * @param image as in the spec, e.g. `app:v1`
 * @param imageID of the container's status, e.g. `docker.io/library/app@sha256:...`
 */
export function pinImage(image: string, imageID: string | undefined): string {
  if (imageID === undefined || image.includes('@')) return image;
  const [repository, digest] = imageID.split('@');
  if (digest === undefined || !/^sha256:[0-9a-f]{64}$/.test(digest)) return image;
  return repository === repositoryOf(image) ? `${image}@${digest}` : image;
}

/** As container runtimes complete a name: without a registry it is one of docker.io, without a directory of its library. */
function repositoryOf(image: string): string {
  const name = image.replace(/:[^:/]+$/, '');
  const [first = '', ...rest] = name.split('/');
  if (rest.length === 0) return `docker.io/library/${name}`;
  const isRegistry = /[.:]/.test(first) || first === 'localhost';
  return isRegistry ? name : `docker.io/${name}`;
}
