// SPDX-License-Identifier: Apache-2.0
// Where Sealift's runtime handler goes in containerd's configuration. Pure: it reads and writes texts. containerd merges the
// files that its main file imports (containerd-config.toml(5)). Version 1.7 does so by whole plugin sections: a drop-in
// with a CRI section would replace all that the main file says about CRI. From 2.0 on it merges key by key. So a drop-in
// is used only with 2.x, and only where the main file imports its directory; else the handler is a marked block at the end
// of the main file.
import { posix } from 'node:path';

/** Names of the CRI plugin's section, by the configuration's version. */
const CRI_SECTION: Readonly<Record<number, string>> = {
  2: 'io.containerd.grpc.v1.cri',
  3: 'io.containerd.cri.v1.runtime',
  4: 'io.containerd.cri.v1.runtime',
};
const RUNC = 'runc';
const BEGIN = '# Begin of what Sealift has added. Its chart removes it.';
const END = '# End of what Sealift has added.';

/** What the installer reads of one file. */
export interface ConfigFile {
  /** Undefined: the file does not say. */
  readonly version: number | undefined;
  readonly imports: readonly string[];
  /** Table headers in order, each as its keys: `[plugins."a.b".x]` is `['plugins', 'a.b', 'x']`. */
  readonly tables: readonly (readonly string[])[];
  /** Values of a table's keys as they are written, by `<keys joined by a blank>`. Multi-line values are cut. */
  readonly values: ReadonlyMap<string, string>;
}

/** A line without its comment. A `#` in a string is none. */
function withoutComment(line: string): string {
  let quote = '';
  for (let n = 0; n < line.length; n++) {
    const char = line[n] ?? '';
    if (quote) {
      if (char === '\\' && quote === '"') n++;
      else if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === '#') return line.slice(0, n);
  }
  return line;
}

/** Keys of a dotted key: bare, or quoted with dots inside. */
const keysOf = (dotted: string): string[] =>
  [...dotted.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );

/** Reads as much of TOML as the installer needs: top-level keys, table headers, and single-line values. */
export function readConfigFile(text: string): ConfigFile {
  const tables: string[][] = [];
  const values = new Map<string, string>();
  let version: number | undefined;
  let table: string[] = [];
  const lines = text.split('\n').map(withoutComment);
  for (const line of lines) {
    const header = /^\s*\[([^[\]].*)\]\s*$/.exec(line);
    if (header) {
      table = keysOf(header[1] ?? '');
      tables.push(table);
      continue;
    }
    const pair = /^\s*("[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (!pair) continue;
    const key = [...table, ...keysOf(pair[1] ?? '')].join(' ');
    values.set(key, pair[2] ?? '');
    if (key === 'version') version = Number(pair[2]);
  }
  const beforeTables =
    /^([\s\S]*?)(?:\n\s*\[[^\n]*\]\s*(?:\n|$)|$)/.exec(`\n${lines.join('\n')}`)?.[1] ?? '';
  const list = /^\s*imports\s*=\s*\[([^\]]*)\]/m.exec(beforeTables)?.[1] ?? '';
  const imports = [...list.matchAll(/"([^"]*)"|'([^']*)'/g)].map((m) => m[1] ?? m[2] ?? '');
  return { version, imports, tables, values };
}

/** Whether a file of that path is imported: containerd takes `*` only within one path element (filepath.Glob of Go). */
export function isImported(imports: readonly string[], mainFile: string, path: string): boolean {
  return imports.some((one) => {
    const absolute = posix.isAbsolute(one) ? one : posix.join(posix.dirname(mainFile), one);
    const pattern = absolute
      .split('*')
      .map((part) => part.replaceAll(/[.\\+?^${}()|[\]]/g, '\\$&'))
      .join('[^/]*');
    return new RegExp(`^${pattern}$`).test(path);
  });
}

const isHandler = (table: readonly string[], handler: string): boolean =>
  table[0] === 'plugins' &&
  table.at(-2) === 'runtimes' &&
  table.at(-1) === handler &&
  Object.values(CRI_SECTION).includes(table[1] ?? '');

/** The file defines a runtime handler of that name. */
export const hasHandler = (file: ConfigFile, handler: string): boolean =>
  file.tables.some((table) => isHandler(table, handler));

export interface HandlerOptions {
  readonly handler: string;
  /** Path of sealift-runc on the node. */
  readonly binary: string;
}

/** The handler's tables. It has runc's own cgroup driver: another one would put its pods beside those of the kubelet. */
function handlerTables(version: number, systemdCgroup: boolean, o: HandlerOptions): string {
  const section = `plugins.'${CRI_SECTION[version] ?? ''}'.containerd.runtimes.${o.handler}`;
  return [
    `[${section}]`,
    "  runtime_type = 'io.containerd.runc.v2'",
    "  pod_annotations = ['sealift.dev/*']",
    "  container_annotations = ['sealift.dev/*']",
    `[${section}.options]`,
    `  BinaryName = '${o.binary}'`,
    `  SystemdCgroup = ${systemdCgroup}`,
    '',
  ].join('\n');
}

/** runc's options say so, in whichever version's section they are. */
function usesSystemdCgroup(files: readonly ConfigFile[]): boolean {
  return files.some((file) =>
    [...file.values].some(
      ([key, value]) =>
        key.startsWith('plugins ') &&
        key.endsWith(` runtimes ${RUNC} options SystemdCgroup`) &&
        value === 'true',
    ),
  );
}

/** What to write, and where. */
export type Plan =
  /** The handler is there, and not by Sealift's installer: it stays as it is. */
  | { readonly kind: 'present' }
  | { readonly kind: 'write'; readonly path: string; readonly content: string };

export interface NodeConfig {
  /** Major version of the containerd that runs. */
  readonly major: number;
  readonly mainFile: string;
  /** Its text; undefined if there is none, and containerd has its built-in configuration. */
  readonly main: string | undefined;
  /** Texts of the files that it imports, without the drop-in of the installer. */
  readonly imported: readonly string[];
}

export const dropInOf = (mainFile: string): string =>
  posix.join(posix.dirname(mainFile), 'conf.d', '50-sealift.toml');

/** Plans the handler for a node's configuration. Applying the plan twice changes nothing more. */
export function planHandler(node: NodeConfig, o: HandlerOptions): Plan {
  const own = withoutHandler(node.main ?? '');
  const main = readConfigFile(own);
  const files = [main, ...node.imported.map(readConfigFile)];
  if (files.some((file) => hasHandler(file, o.handler))) return { kind: 'present' };
  const systemd = usesSystemdCgroup(files);
  const dropIn = dropInOf(node.mainFile);
  if (node.major >= 2 && isImported(main.imports, node.mainFile, dropIn)) {
    // The main file's version: containerd would migrate an older drop-in, and fill in what it doesn't say.
    const version = Math.max(3, main.version ?? 3);
    const content = `${BEGIN}\nversion = ${version}\n\n${handlerTables(version, systemd, o)}${END}\n`;
    return { kind: 'write', path: dropIn, content };
  }
  // A file that does not say is of version 1, which has no such sections; an empty one may become any.
  const version = main.version ?? (own.trim() === '' ? (node.major >= 2 ? 3 : 2) : 1);
  if (CRI_SECTION[version] === undefined)
    throw new RangeError(`configuration version ${version} has no runtime handlers`);
  const head = own.trim() === '' ? '' : own.endsWith('\n') ? own : `${own}\n`;
  const first = head === '' ? `version = ${version}\n\n` : '';
  const block = `${BEGIN}\n${first}${handlerTables(version, systemd, o)}${END}\n`;
  return { kind: 'write', path: node.mainFile, content: `${head}${block}` };
}

/** The text without the installer's block. What others have added after the block stays. */
export function withoutHandler(text: string): string {
  const begin = text.indexOf(BEGIN);
  if (begin < 0) return text;
  const end = text.indexOf(END, begin);
  if (end < 0) return text;
  return text.slice(0, begin) + text.slice(end + END.length).replace(/^\n/, '');
}

/** The file is the installer's own drop-in. */
export const isOwn = (text: string): boolean => text.startsWith(BEGIN);
