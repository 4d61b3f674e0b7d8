// SPDX-License-Identifier: Apache-2.0
// Files and directories that may not be there.
import { readdir, readFile } from 'node:fs/promises';
import { isErrno } from './errors.ts';

/** Names of what is in a directory, in the directory's order; none if there is no such directory. */
export async function namesIn(dir: string): Promise<string[]> {
  return (await ifExists(readdir(dir))) ?? [];
}

/** A file's text; undefined if there is no such file. */
export function textOf(path: string): Promise<string | undefined> {
  return ifExists(readFile(path, 'utf8'));
}

/** What a file of JSON says; undefined: there is none, or it was not written to its end. */
export async function noteIn<T>(
  path: string,
  schema: { parse(json: unknown): T },
): Promise<T | undefined> {
  const text = await textOf(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function ifExists<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
