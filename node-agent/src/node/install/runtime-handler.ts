// SPDX-License-Identifier: Apache-2.0
// Puts Sealift's runtime handler into containerd's configuration, and takes it out again. main.ts calls it in the init
// container. containerd is restarted only if its configuration has changed, and by one node at a time.
import { chmod, glob, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { AgentError } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import { syncPath } from '../../support/durable.ts';
import type { Host } from '../host/host.ts';
import {
  dropInOf,
  hasHandler,
  isOwn,
  planHandler,
  readConfigFile,
  withoutHandler,
  type HandlerOptions,
} from './containerd-config.ts';
import { effectiveConfig, restartContainerd, type Containerd } from './containerd.ts';

export interface RuntimeParts {
  readonly host: Host;
  readonly containerd: Containerd;
  /** Directory that does not outlive a boot, `/run/sealift`. */
  readonly runDir: string;
  /** Runs work while no other node of the cluster runs such work. */
  readonly alone: (work: () => Promise<void>) => Promise<void>;
}

/** What has become of the handler. */
export type Outcome = 'present' | 'unchanged' | 'restarted';

/** Replaces a file whole, with the mode that it has. Undefined removes it. */
async function replace(path: string, content: string | undefined): Promise<void> {
  if (content === undefined) {
    await rm(path, { force: true });
  } else {
    await mkdir(dirname(path), { recursive: true });
    const mode = await stat(path).then(
      (old) => old.mode & 0o777,
      () => 0o644,
    );
    await writeFile(`${path}.sealift-new`, content, { flush: true });
    await chmod(`${path}.sealift-new`, mode);
    await rename(`${path}.sealift-new`, path);
  }
  await syncPath(dirname(path));
}

/** Texts of what the main file imports, but for the installer's own drop-in. */
async function importedTexts(host: Host, mainFile: string, main: string): Promise<string[]> {
  const texts: string[] = [];
  for (const pattern of readConfigFile(main).imports) {
    const absolute = isAbsolute(pattern) ? pattern : join(dirname(mainFile), pattern);
    for await (const path of glob(host.path(absolute))) {
      const text = await textOf(path);
      if (text !== undefined && !isOwn(text)) texts.push(text);
    }
  }
  return texts;
}

/** A restart that is due. It is noted before the configuration changes: the agent may end before the restart. */
const pendingFile = (runDir: string): string => join(runDir, 'runtime-restart-pending');

/**
 * Writes a file of the configuration and restarts containerd, or leaves both as they are if containerd refuses the result.
 * @param wanted whether containerd has the handler afterwards
 */
async function change(
  parts: RuntimeParts,
  path: string,
  content: string | undefined,
  wanted: string | undefined,
): Promise<void> {
  const { host, containerd, runDir } = parts;
  const file = host.path(path);
  await parts.alone(async () => {
    const before = await textOf(file);
    await mkdir(runDir, { recursive: true });
    await writeFile(pendingFile(runDir), '', { flush: true });
    await replace(file, content);
    try {
      const effective = readConfigFile(
        await effectiveConfig(host, containerd, containerd.mainFile),
      );
      if (wanted !== undefined && !hasHandler(effective, wanted))
        throw new AgentError('RuntimeFailed', `containerd does not take ${wanted} from ${path}.`);
      await restartContainerd(host, containerd);
    } catch (error) {
      await replace(file, before);
      await rm(pendingFile(runDir), { force: true });
      throw error;
    }
    await rm(pendingFile(runDir), { force: true });
  });
}

/**
 * Adds the handler unless it is there.
 * @param major version of containerd
 * @throws AgentError RuntimeUnsupported, RuntimeFailed; then the configuration is as it was
 */
export async function addHandler(
  parts: RuntimeParts,
  major: number,
  options: HandlerOptions,
): Promise<Outcome> {
  const { host, containerd, runDir } = parts;
  const { mainFile } = containerd;
  const main = await textOf(host.path(mainFile));
  const imported = await importedTexts(host, mainFile, main ?? '');
  let plan;
  try {
    plan = planHandler({ major, mainFile, main, imported }, options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AgentError(
      'RuntimeUnsupported',
      `${mainFile}: ${error.message}. Write it in version 2 (containerd 1.7) or 3 (2.x).`,
    );
  }
  if (plan.kind === 'present') return 'present';
  const same = (await textOf(host.path(plan.path))) === plan.content;
  if (same && (await textOf(pendingFile(runDir))) === undefined) return 'unchanged';
  await change(parts, plan.path, plan.content, options.handler);
  return 'restarted';
}

/** Takes out what `addHandler` has put in. @throws AgentError RuntimeFailed; then the configuration is as it was */
export async function removeHandler(parts: RuntimeParts): Promise<Outcome> {
  const { host, containerd } = parts;
  const { mainFile } = containerd;
  const dropIn = dropInOf(mainFile);
  const text = await textOf(host.path(dropIn));
  if (text !== undefined && isOwn(text)) {
    await change(parts, dropIn, undefined, undefined);
    return 'restarted';
  }
  const main = await textOf(host.path(mainFile));
  if (main === undefined || withoutHandler(main) === main) return 'unchanged';
  const rest = withoutHandler(main);
  await change(parts, mainFile, rest === '' ? undefined : rest, undefined);
  return 'restarted';
}

/** Whether containerd's configuration has the handler, whoever has put it there. */
export async function handlerConfigured(
  host: Host,
  mainFile: string,
  handler: string,
): Promise<boolean> {
  const main = await textOf(host.path(mainFile));
  const dropIn = await textOf(host.path(dropInOf(mainFile)));
  const imported = await importedTexts(host, mainFile, main ?? '');
  return [main, dropIn, ...imported].some(
    (text) => text !== undefined && hasHandler(readConfigFile(text), handler),
  );
}
