// SPDX-License-Identifier: Apache-2.0
// Takes Sealift's runtime handlers out of containerd's configuration where the comments that enclosed them are gone:
// `containerd config migrate`, and whatever else writes the file anew, keeps the tables and drops the comments. Pure.
import {
  binaryOf,
  handlerAt,
  headerOf,
  pairOf,
  readConfigFile,
  runtimesOf,
  withoutComment,
} from './containerd-config.ts';

/** Names of the handlers that start containers with the program. */
export function handlersOf(text: string, binary: string): string[] {
  const file = readConfigFile(text);
  return [...runtimesOf(file).keys()].filter((name) => binaryOf(file, name) === binary);
}

/** Strings of several lines as as many lines of nothing: what is in them are no tables. */
const withoutLongStrings = (text: string): string =>
  text.replaceAll(/"""[\s\S]*?"""|'''[\s\S]*?'''/g, (found) => found.replaceAll(/[^\n]/g, '_'));

/**
 * The text without the handlers that start containers with the program: their tables, each with the blank lines behind it, and
 * their dotted keys. Comments before the next table stay, and handlers in an inline table.
 */
export function withoutHandlersOf(text: string, binary: string): string {
  const ours = handlersOf(text, binary);
  if (ours.length === 0) return text;
  const isOurs = (keys: readonly string[]): boolean => ours.includes(handlerAt(keys) ?? '');
  const plain = withoutLongStrings(text).split('\n');
  const kept: string[] = [];
  let table: readonly string[] = [];
  /** What is behind the last value of a table that goes: it is of the next table, unless another value follows. */
  let behind: string[] = [];
  for (const [n, raw] of text.split('\n').entries()) {
    const line = withoutComment(plain[n] ?? '').trim();
    // Of an array of tables, which no handler is in.
    const header = line.startsWith('[[') ? [line] : headerOf(line);
    if (header) {
      kept.push(...behind);
      behind = [];
      table = header;
    }
    if (!isOurs(table)) {
      if (!isOurs([...table, ...(pairOf(line)?.keys ?? [])])) kept.push(raw);
    } else if (line !== '') behind = [];
    else if (behind.length > 0 || raw.trim() !== '') behind.push(raw);
  }
  // The last line of a text that ends with a line's end is empty.
  const rest = [...kept, ...behind].join('\n');
  return rest !== '' && text.endsWith('\n') && !rest.endsWith('\n') ? `${rest}\n` : rest;
}
