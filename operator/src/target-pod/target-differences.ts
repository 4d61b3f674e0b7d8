// SPDX-License-Identifier: Apache-2.0
// What admission webhooks and policies have made of a target: where it differs from its source in what a restore goes by, the
// restore fails, and only after the dump. So the operator compares before the pause. Pure.
import { posix } from 'node:path';
import { labels, RUNTIME_CLASS } from '../../../crds/src/index.ts';
import { Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';
import { isOtherImage, runningImages } from './container-images.ts';

type Spec = Pod['spec'];
type Container = Spec['containers'][number];
type Images = ReadonlyMap<string, string>;

/** What the target was to be like. */
interface Wanted {
  readonly spec: Spec;
  readonly status?: Pod['status'];
}

/** @param template of a checkpoint; @returns undefined for one that is no spec of a pod */
export function wantedOf(template: { readonly spec: unknown } | undefined): Wanted | undefined {
  const { data } = Pod.shape.spec.safeParse(template?.spec);
  return data && { spec: data };
}

/** @returns the first difference that a restore would end at; undefined: none, or there is no target to look at yet */
export function refuseOtherTarget(
  wanted: Wanted | undefined,
  target: Pod | undefined,
): Refusal | undefined {
  if (!wanted || !target) return undefined;
  const [what] = differences(wanted, target.spec);
  if (what === undefined) return undefined;
  const message = `The target pod ${target.metadata.name} is not what the operator has asked for: ${what.slice(0, mostOfText)}. An admission webhook or policy has done that. Let it leave pods with the label ${labels.role}=target alone (objectSelector of a webhook, exclude of a policy), then create a new request.`;
  return { reason: 'TargetDiffers', message };
}

/** A path or a reference may be long, and a status takes so much. */
const mostOfText = 1024;

function* differences({ spec, status }: Wanted, target: Spec): Generator<string> {
  // In another runtime its containers start from nothing.
  if (target.runtimeClassName !== RUNTIME_CLASS) {
    yield `its runtimeClassName is ${target.runtimeClassName ?? 'not set'}, no longer ${RUNTIME_CLASS}`;
  }
  for (const name of namespaceFields) {
    if ((target[name] === true) !== (spec[name] === true)) yield `its ${name} was changed`;
  }
  if ((target.hostUsers === false) !== (spec.hostUsers === false)) {
    yield 'its hostUsers was changed';
  }
  yield* initDifferences(spec, target);
  const images = runningImages(status);
  yield* ofKind('sidecar', sidecars(spec), sidecars(target), images);
  yield* ofKind('container', spec.containers, target.containers, images);
  const [debugger_] = target.ephemeralContainers;
  if (debugger_) yield `${unknown('ephemeral container', debugger_.name)} (kubectl debug)`;
}

const namespaceFields = ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const;

const isSidecar = (one: Spec['initContainers'][number]): boolean => one.restartPolicy === 'Always';
const sidecars = (spec: Spec): Container[] => spec.initContainers.filter(isSidecar);

/** A target has no init containers but sidecars: they have run. What adds one that it misses adds it to a target again. */
function* initDifferences(spec: Spec, target: Spec): Generator<string> {
  for (const { name } of target.initContainers.filter((one) => !isSidecar(one))) {
    const hasRun = spec.initContainers.some((one) => one.name === name && !isSidecar(one));
    const why = hasRun ? 'it has run in the source, and' : 'the source has none of that name, and';
    yield `init container ${name} was added, but ${why} a restored pod cannot start with another program`;
  }
}

const unknown = (kind: string, name: string): string =>
  `${kind} ${name} was added, and there are no images to restore it from`;

function* ofKind(
  kind: string,
  wanted: readonly Container[],
  target: readonly Container[],
  images: Images,
): Generator<string> {
  for (const { name } of target) {
    if (wanted.some((one) => one.name === name)) continue;
    yield `${unknown(kind, name)} (a pod that has it from its creation on can be moved)`;
  }
  for (const one of wanted) {
    const same = target.find(({ name }) => name === one.name);
    if (same) yield* ofContainer(`${kind} ${one.name}`, one, same, images);
    else yield `${kind} ${one.name} was taken out`;
  }
}

function* ofContainer(
  what: string,
  wanted: Container,
  target: Container,
  images: Images,
): Generator<string> {
  if (isOtherImage(target.image, wanted.image, images.get(wanted.name))) {
    yield `${what} has another image, ${target.image ?? ''}`;
  }
  // Other mounts: what is masked, and what is read-only.
  const isPrivileged = (one: Container): boolean => one.securityContext?.privileged === true;
  if (isPrivileged(target) !== isPrivileged(wanted)) {
    yield `${what} was made ${isPrivileged(target) ? 'privileged' : 'unprivileged'}`;
  }
  // CRIU finds a mount of its images by its path. One more does no harm: the restored processes do not see it.
  const paths = new Set(mountPaths(target));
  const missing = mountPaths(wanted).find((path) => !paths.has(path));
  if (missing !== undefined) yield `${what} has lost the volume mounted at ${missing}`;
}

const mountPaths = ({ volumeMounts }: Container): string[] =>
  (volumeMounts ?? []).map(({ mountPath }) => posix.resolve('/', mountPath));
