// SPDX-License-Identifier: Apache-2.0
// Puts Sealift's runtime handler into containerd's configuration, and takes it out again. main.ts calls it in the init
// container. containerd is restarted only if its configuration has changed, and by one node at a time.
import { glob, rmdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { AgentError, reasonOf } from '../../support/errors.ts';
import { textOf } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { sealiftContainers } from '../runtime/sealift-containers.ts';
import { changeConfig, pendingChange, tryConfig } from './config-change.ts';
import type { FileChange, RuntimeParts } from './config-change.ts';
import {
  binaryOf,
  changedBeside,
  dropInOf,
  hasHandler,
  hasMadeDirectory,
  hasMadeFile,
  isOwn,
  planHandler,
  readConfigFile,
  runtimesOf,
  withoutHandler,
  type HandlerOptions,
  type Plan,
} from './containerd-config.ts';
import { effectiveConfig, refuseOtherState } from './containerd.ts';

export type { RuntimeParts } from './config-change.ts';

/** What has become of the handler. */
export type Outcome = 'present' | 'unchanged' | 'restarted';

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

/** The installer's drop-in; undefined where there is none, or one of somebody else. */
async function ownDropIn(host: Host, mainFile: string): Promise<string | undefined> {
  const text = await textOf(host.path(dropInOf(mainFile)));
  return text !== undefined && isOwn(text) ? text : undefined;
}

/** The handler is one of somebody else that starts another program. */
export const takenBy = (
  { handler, binary }: HandlerOptions,
  theirs: string | undefined,
): AgentError =>
  new AgentError(
    'HandlerTaken',
    `containerd of this node has a runtime handler ${handler} that isn't Sealift's: it starts ${theirs || 'runc'} instead of ${binary}. ` +
      'Remove it, or give runtimeClass.handler of the chart another name.',
  );

/** Asks for the configuration as it is. @throws AgentError RuntimeFailed if containerd refuses it already */
async function presentConfig({ host, containerd }: RuntimeParts, main?: string): Promise<string> {
  try {
    // Without a main file containerd has its built-in configuration; 1.7 refuses the name of one that is not there.
    return await effectiveConfig(host, containerd, main === undefined ? '' : containerd.mainFile);
  } catch (error) {
    throw new AgentError(
      'RuntimeFailed',
      `containerd refuses its own configuration on this node, before Sealift has changed anything in it: ${reasonOf(error).message}`,
      { cause: error },
    );
  }
}

async function plan(
  parts: RuntimeParts,
  major: number,
  options: HandlerOptions,
): Promise<{
  plan: Plan;
  main: string | undefined;
  dropIn: string | undefined;
  /** What containerd makes of it now. */
  present: string;
}> {
  const { host, containerd } = parts;
  const { mainFile } = containerd;
  const main = await textOf(host.path(mainFile));
  const imported = await importedTexts(host, mainFile, main ?? '');
  const dropIn = await ownDropIn(host, mainFile);
  const effective = await presentConfig(parts, main);
  refuseOtherState(effective);
  const hasDropInDirectory = existsSync(host.path(dirname(dropInOf(mainFile))));
  try {
    const node = { major, mainFile, main, imported, dropIn, hasDropInDirectory, effective };
    return { plan: planHandler(node, options), main, dropIn, present: effective };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new AgentError(
      'RuntimeUnsupported',
      `${mainFile}: ${error.message}. Write it in version 2 (containerd 1.7) or 3 (2.x).`,
    );
  }
}

/** Handlers of Sealift's under another name go with this change. @throws AgentError ContainersLeft while containers have them */
function refuseLost(
  before: string,
  after: string,
  { handler, binary }: HandlerOptions,
  running: number,
): void {
  const now = runtimesOf(readConfigFile(after));
  const old = readConfigFile(before);
  const lost = [...runtimesOf(old).keys()].filter(
    (name) => binaryOf(old, name) === binary && !now.has(name),
  );
  if (lost.length === 0 || running === 0) return;
  throw new AgentError(
    'ContainersLeft',
    `The runtime handler ${lost.join(', ')} is to be called ${handler}, and ${running} containers of this node run with it. ` +
      "Delete their pods, then restart the agent's pod of this node.",
  );
}

/**
 * Adds the handler unless it is there.
 * @param major version of containerd
 * @throws AgentError RuntimeUnsupported, RuntimeFailed, HandlerTaken; then the configuration is as it was
 */
export async function addHandler(
  parts: RuntimeParts,
  major: number,
  options: HandlerOptions,
): Promise<Outcome> {
  const { host, containerd, runDir } = parts;
  const { mainFile } = containerd;
  const { plan: planned, main, dropIn, present } = await plan(parts, major, options);
  if (planned.kind === 'present') {
    if (planned.binary === options.binary) return 'present';
    throw takenBy(options, planned.binary);
  }
  const { path, content, trial } = planned;
  const changes: FileChange[] = [{ path, content }];
  // The other place, where an earlier version of the installer or of containerd's configuration has had it.
  const rest = main === undefined ? '' : withoutHandler(main);
  if (path !== mainFile && main !== undefined && rest !== main)
    changes.push({ path: mainFile, content: rest });
  if (path === mainFile && dropIn !== undefined)
    changes.push({ path: dropInOf(mainFile), content: undefined });
  const isSame = changes.length === 1 && (await textOf(host.path(path))) === content;
  if (isSame && (await pendingChange(runDir)) === undefined) return 'unchanged';
  const checkOthers = (effective: string): void => {
    const changed = changedBeside(present, effective, options);
    if (changed !== undefined)
      throw new AgentError(
        'RuntimeFailed',
        `With Sealift's runtime handler in ${path}, containerd would change another setting, ${changed.replaceAll(' ', '.')}. ` +
          'Add the handler by hand, as charts/sealift/README.md says, and set agent.runtime.configure to false.',
      );
  };
  const running = await sealiftContainers(host, options.binary);
  const check = (effective: string): void => {
    checkOthers(effective);
    refuseLost(present, effective, options, running.length);
    if (binaryOf(readConfigFile(effective), options.handler) === options.binary) return;
    throw new AgentError(
      'RuntimeFailed',
      `containerd does not take ${options.handler} from ${path}: another file that ${mainFile} imports overrides it.`,
    );
  };
  // An older drop-in of the installer overrides what the trial says of the handler.
  await tryConfig(parts, trial, dropIn === undefined ? check : checkOthers);
  await changeConfig(parts, changes, check);
  return 'restarted';
}

/** Takes out what `addHandler` has put in. @throws AgentError RuntimeFailed; then the configuration is as it was */
export async function removeHandler(parts: RuntimeParts): Promise<Outcome> {
  const { host, containerd } = parts;
  const { mainFile } = containerd;
  const dropIn = await ownDropIn(host, mainFile);
  const main = await textOf(host.path(mainFile));
  const changes: FileChange[] = [];
  if (dropIn !== undefined) changes.push({ path: dropInOf(mainFile), content: undefined });
  const rest = main === undefined ? '' : withoutHandler(main);
  if (main !== undefined && rest !== main)
    changes.push({ path: mainFile, content: rest === '' && hasMadeFile(main) ? undefined : rest });
  if (changes.length === 0) return 'unchanged';
  await changeConfig(parts, changes, () => undefined);
  if (dropIn !== undefined && hasMadeDirectory(dropIn))
    await rmdir(host.path(dirname(dropInOf(mainFile)))).catch(() => undefined);
  return 'restarted';
}

/** What containerd's files say of the handler, whoever has put it there. */
export async function configuredHandler(
  host: Host,
  mainFile: string,
  handler: string,
): Promise<{ present: boolean; binary: string | undefined }> {
  const main = await textOf(host.path(mainFile));
  const dropIn = await textOf(host.path(dropInOf(mainFile)));
  const imported = await importedTexts(host, mainFile, main ?? '');
  const files = [main, dropIn, ...imported]
    .filter((text) => text !== undefined)
    .map(readConfigFile)
    .filter((file) => hasHandler(file, handler));
  const binary = files.map((file) => binaryOf(file, handler)).findLast((one) => one !== undefined);
  return { present: files.length > 0, binary };
}
