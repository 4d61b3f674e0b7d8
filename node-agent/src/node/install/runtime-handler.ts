// SPDX-License-Identifier: Apache-2.0
// Puts Sealift's runtime handler into containerd's configuration, and takes it out again. main.ts calls it in the init
// container. containerd is restarted only if its configuration has changed, and by one node at a time.
import { glob, rmdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
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
import { DEFAULT_CONFIG, effectiveConfig, refuseOtherState } from './containerd.ts';
import { handlerNote, noteHandler } from './handler-note.ts';
import { handlersOf, withoutHandlersOf } from './handler-tables.ts';

export type { RuntimeParts } from './config-change.ts';

/** What has become of the handler. */
export type Outcome = 'present' | 'unchanged' | 'restarted';

/** What the main file imports, but for the installer's own drop-in. Paths are those of the host. */
async function importedFiles(
  host: Host,
  mainFile: string,
  main: string,
): Promise<{ path: string; text: string }[]> {
  const files: { path: string; text: string }[] = [];
  for (const pattern of readConfigFile(main).imports) {
    const absolute = isAbsolute(pattern) ? pattern : join(dirname(mainFile), pattern);
    const root = host.path('/');
    for await (const seen of glob(host.path(absolute))) {
      const text = await textOf(seen);
      if (text !== undefined && !isOwn(text))
        files.push({ path: `/${relative(root, seen)}`, text });
    }
  }
  return files;
}

const importedTexts = async (host: Host, mainFile: string, main: string): Promise<string[]> =>
  (await importedFiles(host, mainFile, main)).map(({ text }) => text);

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
  const { host, containerd, runDir, stateDir } = parts;
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
  const noted = await handlerNote(stateDir);
  const note = { mainFile, binary: options.binary };
  if (isSame && (await pendingChange(runDir)) === undefined) {
    // An earlier version of the agent has added it.
    if (!noted) await noteHandler(stateDir, note);
    return 'unchanged';
  }
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
  await noteHandler(stateDir, note);
  try {
    await changeConfig(parts, changes, check);
  } catch (error) {
    await noteHandler(stateDir, noted);
    throw error;
  }
  return 'restarted';
}

/**
 * The chart leaves the handler to an administrator: one that the installer's comments do not enclose is theirs from now on. The
 * note stays while there is something in these comments, which somebody else may take away and keep the tables.
 */
export async function handOverHandler(host: Host, stateDir: string): Promise<void> {
  const noted = await handlerNote(stateDir);
  if (noted === undefined) return;
  for (const mainFile of new Set([DEFAULT_CONFIG, noted.mainFile])) {
    const main = (await textOf(host.path(mainFile))) ?? '';
    if (withoutHandler(main) !== main || (await ownDropIn(host, mainFile)) !== undefined) return;
  }
  await noteHandler(stateDir, undefined);
}

/** A handler is there whose program the uninstall would remove. */
const handlerLeft = (binary: string, where: string, cause?: unknown): AgentError =>
  new AgentError(
    'HandlerLeft',
    `containerd's configuration on this node (${where}) has a runtime handler that starts ${binary}, and Sealift cannot take it out` +
      `${cause === undefined ? ', because it is in a form of its own' : `: ${reasonOf(cause).message}`}. ` +
      'Remove it there and restart containerd; the uninstall then goes on.',
    { cause },
  );

/**
 * For a node on which no containerd was found that Sealift works with: nothing that the installer has added is in the files
 * where it would be.
 * @throws AgentError HandlerLeft
 */
export async function refuseLeftHandler(
  host: Host,
  stateDir: string,
  cause: unknown,
): Promise<void> {
  const noted = await handlerNote(stateDir);
  for (const mainFile of new Set([DEFAULT_CONFIG, noted?.mainFile ?? DEFAULT_CONFIG])) {
    for (const path of [mainFile, dropInOf(mainFile)]) {
      const text = (await textOf(host.path(path))) ?? '';
      const isLeft = noted !== undefined && handlersOf(text, noted.binary).length > 0;
      if (isLeft || withoutHandler(text) !== text)
        throw handlerLeft(noted?.binary ?? 'sealift-runc', path, cause);
    }
  }
}

/** What is to become of the files, so that nothing is left of what the installer has added. */
async function planRemoval(
  { host, containerd: { mainFile } }: RuntimeParts,
  binary: string | undefined,
): Promise<{
  changes: FileChange[];
  main: string;
  dropIn: string | undefined;
  unmarked: string[];
}> {
  const dropIn = await ownDropIn(host, mainFile);
  const main = await textOf(host.path(mainFile));
  const changes: FileChange[] = [];
  /** Files that have the handler without the installer's comments. */
  const unmarked: string[] = [];
  if (dropIn !== undefined) changes.push({ path: dropInOf(mainFile), content: undefined });
  const strip = (path: string, text: string): string => {
    if (binary === undefined || handlersOf(text, binary).length === 0) return text;
    unmarked.push(path);
    return withoutHandlersOf(text, binary);
  };
  for (const { path, text } of await importedFiles(host, mainFile, main ?? '')) {
    const content = strip(path, text);
    if (content !== text) changes.push({ path, content });
  }
  const rest = strip(mainFile, withoutHandler(main ?? ''));
  if (main !== undefined && rest !== main)
    changes.push({ path: mainFile, content: rest === '' && hasMadeFile(main) ? undefined : rest });
  return { changes, main: rest, dropIn, unmarked };
}

/**
 * Takes out what `addHandler` has put in, also where something has written the file anew since.
 * @throws AgentError RuntimeFailed, RuntimeUnsupported, HandlerLeft; then the configuration is as it was
 */
export async function removeHandler(parts: RuntimeParts): Promise<Outcome> {
  const { host, containerd, stateDir } = parts;
  const { mainFile } = containerd;
  const binary = (await handlerNote(stateDir))?.binary;
  const { changes, main, dropIn, unmarked } = await planRemoval(parts, binary);
  if (binary !== undefined && unmarked.length > 0)
    await removeUnmarked(parts, { changes, main, dropIn, binary, where: unmarked.join(', ') });
  else if (changes.length === 0) {
    if (binary !== undefined) await refuseOtherForms(parts, binary);
    return 'unchanged';
  } else await changeConfig(parts, changes, () => undefined);
  if (dropIn !== undefined && hasMadeDirectory(dropIn))
    await rmdir(host.path(dirname(dropInOf(mainFile)))).catch(() => undefined);
  return 'restarted';
}

/** Nobody vouches for what is between the tables: so containerd has to say that everything else stays as it is. */
async function removeUnmarked(
  parts: RuntimeParts,
  o: {
    readonly changes: readonly FileChange[];
    readonly main: string;
    readonly dropIn: string | undefined;
    readonly binary: string;
    readonly where: string;
  },
): Promise<void> {
  const { binary, where } = o;
  const present = await presentConfig(parts, o.main);
  const checkOthers = (effective: string): void => {
    const changed = changedBeside(present, effective, { handler: '', binary });
    if (changed === undefined) return;
    throw new RangeError(`another setting would change, ${changed.replaceAll(' ', '.')}`);
  };
  const check = (effective: string): void => {
    checkOthers(effective);
    if (handlersOf(effective, binary).length > 0) throw new RangeError('it would stay');
  };
  try {
    const isAlone = o.changes.every(({ path }) => path === parts.containerd.mainFile);
    // The other files still have it during the trial.
    await tryConfig(parts, o.main, isAlone ? check : checkOthers);
    await changeConfig(parts, o.changes, check);
  } catch (error) {
    if (error instanceof RangeError) throw handlerLeft(binary, where, error);
    throw error;
  }
}

/** An inline table, or a file that the main file imports by other means. @throws AgentError HandlerLeft, RuntimeFailed */
async function refuseOtherForms(parts: RuntimeParts, binary: string): Promise<void> {
  const { host, containerd } = parts;
  const main = await textOf(host.path(containerd.mainFile));
  const imported = await importedTexts(host, containerd.mainFile, main ?? '');
  if (![main ?? '', ...imported].some((text) => text.includes(binary))) return;
  if (handlersOf(await presentConfig(parts, main), binary).length === 0) return;
  throw handlerLeft(binary, containerd.mainFile);
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
