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
  const { repository, digest } = referenceOf(imageID);
  if (digest === undefined || !/^sha256:[0-9a-f]{64}$/.test(digest)) return image;
  return repository === referenceOf(image).repository ? `${image}@${digest}` : image;
}

/**
 * Whether a target would start another image than its source runs. A digest tells what an image is, in whichever repository;
 * without two of them the reference has to be the same.
 * @param target reference in the target's spec
 * @param source reference in the source's spec; both undefined: nobody knows
 * @param imageID of the source's status
 */
export function isOtherImage(
  target: string | undefined,
  source: string | undefined,
  imageID: string | undefined,
): boolean {
  if (target === undefined || source === undefined) return false;
  const [other, own] = [referenceOf(target), referenceOf(source)];
  const running = own.digest ?? referenceOf(imageID ?? '').digest;
  if (other.digest !== undefined && running !== undefined) return other.digest !== running;
  return other.repository !== own.repository || other.tag !== own.tag;
}

interface Reference {
  /** Complete, with its registry. */
  readonly repository: string;
  /** Undefined if the reference has a digest alone. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/**
 * As container runtimes read a reference (distribution/reference, `ParseNormalizedNamed`): a name whose first part is no host
 * is one of docker.io, one of docker.io without a directory is of its library, and the older name of that registry is the same.
 */
function referenceOf(image: string): Reference {
  const [tagged = '', digest] = image.split('@');
  const name = tagged.replace(/:[^:/]+$/, '');
  const tag = tagged === name ? undefined : tagged.slice(name.length + 1);
  return {
    repository: repositoryOf(name),
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
  };
}

function repositoryOf(name: string): string {
  const [first = '', ...rest] = name.split('/');
  // A host has a dot or a port, is localhost, or has a capital letter, which no directory has.
  const isHost = rest.length > 0 && (/[.:A-Z]/.test(first) || first === 'localhost');
  const host = isHost ? first.replace(/^index\.docker\.io$/, 'docker.io') : 'docker.io';
  const path = isHost ? rest.join('/') : name;
  const isOfLibrary = host === 'docker.io' && !path.includes('/');
  return `${host}/${isOfLibrary ? 'library/' : ''}${path}`;
}
