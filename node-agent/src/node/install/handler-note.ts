// SPDX-License-Identifier: Apache-2.0
// Where the installer has added the runtime handler. The comments around the handler say so, too, until something writes
// containerd's configuration anew. A file in the agent's state directory, which outlives a boot as the configuration does.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { noteIn } from '../../support/optional-file.ts';

const HandlerNote = z.object({
  /** containerd's main file. */
  mainFile: z.string(),
  /** The program that the handler starts containers with. */
  binary: z.string(),
});
export type HandlerNote = z.infer<typeof HandlerNote>;

const fileIn = (stateDir: string): string => join(stateDir, 'runtime-handler.json');

/** Undefined: the installer has added none, or one of an earlier version of the agent has. */
export const handlerNote = (stateDir: string): Promise<HandlerNote | undefined> =>
  // With one that was not written to its end nothing was added yet.
  noteIn(fileIn(stateDir), HandlerNote);

/** Undefined removes the note. */
export async function noteHandler(stateDir: string, note: HandlerNote | undefined): Promise<void> {
  const path = fileIn(stateDir);
  if (note === undefined) return rm(path, { force: true });
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(note), { flush: true });
}
