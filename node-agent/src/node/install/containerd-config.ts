// SPDX-License-Identifier: Apache-2.0
// Where Sealift's runtime handler goes in containerd's configuration. Pure: it reads and writes texts. containerd merges the
// files that its main file imports (containerd-config.toml(5)). Version 1.7 does so by whole plugin sections: a drop-in
// with a CRI section would replace all that the main file says about CRI. From 2.0 on it merges key by key. So a drop-in
// is used only with 2.x, and only where a main file of version 3 imports its directory; else the handler is a marked block at
// the end of the main file. A drop-in beside a file of version 2 would keep containerd 1.7 from starting after a downgrade.
import { posix } from 'node:path';

/** Names of the CRI plugin's section, by the configuration's version. */
const CRI_SECTION: Readonly<Record<number, string>> = {
  1: 'cri',
  2: 'io.containerd.grpc.v1.cri',
  3: 'io.containerd.cri.v1.runtime',
  4: 'io.containerd.cri.v1.runtime',
};
const RUNC = 'runc';
const RUNC_TYPE = 'io.containerd.runc.v2';
const BEGIN = '# Begin of what Sealift has added. Its chart removes it.';
const END = '# End of what Sealift has added.';
/** Notes in what is added, so that taking it out leaves each byte as it was. */
const LINE_ENDED = '# The line before had no end.';
const FILE_MADE = '# The file was not there before.';
const DIRECTORY_MADE = '# The directory was not there before.';

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
export function withoutComment(line: string): string {
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

const KEY = String.raw`(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)`;
const PAIR = new RegExp(String.raw`^\s*(${KEY}(?:\s*\.\s*${KEY})*)\s*=\s*(.*?)\s*$`);
const HEADER = /^\s*\[([^[\]].*)\]\s*$/;
const IMPORTS = /^\s*["']?imports["']?\s*=\s*\[((?:[\s,]|"(?:[^"\\]|\\.)*"|'[^']*')*)\]/m;

/** Keys of a dotted key: bare, or quoted with dots inside. */
const keysOf = (dotted: string): string[] =>
  [...dotted.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );

/** Keys of a table's header; undefined for any other line. @param line without its comment */
export function headerOf(line: string): string[] | undefined {
  const header = HEADER.exec(line);
  return header ? keysOf(header[1] ?? '') : undefined;
}

/** A line's key and its value as it is written. @param line without its comment */
export function pairOf(line: string): { keys: string[]; value: string } | undefined {
  const pair = PAIR.exec(line);
  return pair ? { keys: keysOf(pair[1] ?? ''), value: pair[2] ?? '' } : undefined;
}

/** The imports before the first table: behind it, the key would be one of that table. */
function importsIn(lines: readonly string[]): string[] {
  const text = lines.join('\n');
  const found = IMPORTS.exec(text);
  if (!found) return [];
  if (
    text
      .slice(0, found.index)
      .split('\n')
      .some((line) => HEADER.test(line))
  )
    return [];
  return [...(found[1] ?? '').matchAll(/"([^"]*)"|'([^']*)'/g)].map((m) => m[1] ?? m[2] ?? '');
}

/** Reads as much of TOML as the installer needs: top-level keys, table headers, and single-line values. */
export function readConfigFile(text: string): ConfigFile {
  const tables: string[][] = [];
  const values = new Map<string, string>();
  let version: number | undefined;
  let table: string[] = [];
  // What is in strings of several lines are no tables.
  const plain = text.replaceAll(/"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'/g, "''");
  const lines = plain.split('\n').map(withoutComment);
  for (const line of lines) {
    const header = headerOf(line);
    if (header) {
      table = header;
      tables.push(table);
      continue;
    }
    const pair = pairOf(line);
    if (!pair) continue;
    const key = [...table, ...pair.keys].join(' ');
    values.set(key, pair.value);
    if (key === 'version') version = Number(pair.value);
  }
  return { version, imports: importsIn(lines), tables, values };
}

/** One element of a pattern of Go's path/filepath.Match as a regular expression. */
function matcherOf(pattern: string): string {
  const parts = /\*|\?|\[\^?[^\]]+\]|\\?[\s\S]/g;
  return [...pattern.matchAll(parts)]
    .map(([part]) => {
      if (part === '*') return '[^/]*';
      if (part === '?') return '[^/]';
      if (part.length > 2) return part;
      return part.at(-1)?.replace(/[.*+?^${}()|[\]\\/]/, String.raw`\$&`) ?? '';
    })
    .join('');
}

/** Whether a file of that path is imported: containerd takes `*` only within one path element (filepath.Glob of Go). */
export function isImported(imports: readonly string[], mainFile: string, path: string): boolean {
  return imports.some((one) => {
    const absolute = posix.isAbsolute(one) ? one : posix.join(posix.dirname(mainFile), one);
    return new RegExp(`^${matcherOf(absolute)}$`).test(path);
  });
}

/** A runtime handler as a file says it. Values are as they are written. */
export interface Runtime {
  readonly settings: ReadonlyMap<string, string>;
  readonly options: ReadonlyMap<string, string>;
}

/** Name of the runtime handler that a table's or a value's keys are of; undefined if of none. */
export function handlerAt(keys: readonly string[]): string | undefined {
  const [plugins, section = '', containerd, runtimes, name] = keys;
  const isOne = plugins === 'plugins' && containerd === 'containerd' && runtimes === 'runtimes';
  return isOne && Object.values(CRI_SECTION).includes(section) ? name : undefined;
}

/** The runtime handlers of a file, by name. */
export function runtimesOf(file: ConfigFile): Map<string, Runtime> {
  const found = new Map<string, { settings: Map<string, string>; options: Map<string, string> }>();
  const at = (keys: readonly string[]) => {
    const name = handlerAt(keys);
    if (name === undefined) return;
    const one = found.get(name) ?? { settings: new Map(), options: new Map() };
    found.set(name, one);
    return one;
  };
  for (const table of file.tables) at(table);
  for (const [key, value] of file.values) {
    const keys = key.split(' ');
    const one = at(keys);
    if (!one) continue;
    if (keys.length === 6) one.settings.set(keys[5] ?? '', value);
    if (keys.length === 7 && keys[5] === 'options') one.options.set(keys[6] ?? '', value);
  }
  return found;
}

/** The file defines a runtime handler of that name. */
export const hasHandler = (file: ConfigFile, handler: string): boolean =>
  runtimesOf(file).has(handler);

const unquoted = (value: string | undefined): string | undefined =>
  value?.replace(/^(["'])(.*)\1$/, '$2');

/** The program that a handler of the file starts containers with; undefined where it does not say. */
export const binaryOf = (file: ConfigFile, handler: string): string | undefined =>
  unquoted(runtimesOf(file).get(handler)?.options.get('BinaryName'));

export interface HandlerOptions {
  readonly handler: string;
  /** Path of sealift-runc on the node. */
  readonly binary: string;
}

/** What a handler has in common with the runtime of plain pods, so that a pod runs the same under either. */
const COMMON_SETTINGS = [
  ...['base_runtime_spec', 'cgroup_writable', 'cni_conf_dir', 'cni_max_conf_num'],
  ...['privileged_without_host_devices', 'privileged_without_host_devices_all_devices_allowed'],
];
const COMMON_OPTIONS = ['NoNewKeyring', 'NoPivotRoot', 'ShimCgroup', 'IoUid', 'IoGid'];
const DEFAULTS = ["''", '""', 'false', '0', '[]'];

/** The runtime that pods without a runtime class have, if it is one of runc's kind; else the one called runc. */
function plainRuntime(effective: ConfigFile, handler: string): Runtime | undefined {
  const runtimes = runtimesOf(effective);
  const [, name] =
    [...effective.values].find(([key]) =>
      /^plugins \S+ containerd default_runtime_name$/.test(key),
    ) ?? [];
  const usual = unquoted(name) ?? RUNC;
  const one = usual === handler ? undefined : runtimes.get(usual);
  const isRunc = unquoted(one?.settings.get('runtime_type')) === RUNC_TYPE;
  return isRunc ? one : runtimes.get(RUNC);
}

const pairsOf = (values: ReadonlyMap<string, string> | undefined, names: readonly string[]) =>
  names.flatMap((name) => {
    const value = values?.get(name);
    return value === undefined || DEFAULTS.includes(value) ? [] : [`  ${name} = ${value}`];
  });

/** The handler's tables. It has runc's own cgroup driver: another one would put its pods beside those of the kubelet. */
function handlerTables(version: number, plain: Runtime | undefined, o: HandlerOptions): string {
  const section = `plugins.'${CRI_SECTION[version] ?? ''}'.containerd.runtimes.${o.handler}`;
  return [
    `[${section}]`,
    `  runtime_type = '${RUNC_TYPE}'`,
    "  pod_annotations = ['sealift.dev/*']",
    "  container_annotations = ['sealift.dev/*']",
    ...pairsOf(plain?.settings, COMMON_SETTINGS),
    `[${section}.options]`,
    `  BinaryName = '${o.binary}'`,
    `  SystemdCgroup = ${plain?.options.get('SystemdCgroup') === 'true'}`,
    ...pairsOf(plain?.options, COMMON_OPTIONS),
    '',
  ].join('\n');
}

/**
 * Runtimes that containerd has by default, and that no file names. Version 1.7 forgets them when a file names any runtime, and
 * then has none for plain pods: so the installer names them, too.
 */
function defaultRuntimes(
  node: NodeConfig,
  own: string,
  version: number,
  o: HandlerOptions,
): string {
  if (node.major >= 2) return '';
  const named = [own, ...node.imported].flatMap((text) => [
    ...runtimesOf(readConfigFile(text)).keys(),
  ]);
  const lines: string[] = [];
  for (const [name, { settings, options }] of runtimesOf(readConfigFile(node.effective))) {
    const isOurs = name === o.handler || unquoted(options.get('BinaryName')) === o.binary;
    if (isOurs || named.includes(name)) continue;
    const section = `plugins.'${CRI_SECTION[version] ?? ''}'.containerd.runtimes.'${name}'`;
    const written = ([key, value]: [string, string]): string => `  ${key} = ${value}`;
    lines.push(`[${section}]`, ...[...settings].map(written));
    lines.push(`[${section}.options]`, ...[...options].map(written));
  }
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * The first setting beside the handler itself that is not as it was, as its keys. What containerd says of a handler with
 * Sealift's program counts for that handler.
 */
export function changedBeside(
  before: string,
  after: string,
  o: HandlerOptions,
): string | undefined {
  const rest = (text: string): Map<string, string> => {
    const file = readConfigFile(text);
    const ours = [...runtimesOf(file).keys()].filter(
      (name) => name === o.handler || binaryOf(file, name) === o.binary,
    );
    const isOurs = (key: string): boolean => {
      const keys = key.split(' ');
      return keys[3] === 'runtimes' && ours.includes(keys[4] ?? '');
    };
    return new Map([...file.values].filter(([key]) => key !== 'imports' && !isOurs(key)));
  };
  const [old, now] = [rest(before), rest(after)];
  return [...old.keys(), ...now.keys()].find((key) => old.get(key) !== now.get(key));
}

/** What to write, and where. */
export type Plan =
  /** The handler is there, and not by Sealift's installer: it stays as it is. */
  | { readonly kind: 'present'; readonly binary: string | undefined }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly content: string;
      /** A main file that says the same, by which containerd can be asked before anything is changed. */
      readonly trial: string;
    };

export interface NodeConfig {
  /** Major version of the containerd that runs. */
  readonly major: number;
  readonly mainFile: string;
  /** Its text; undefined if there is none, and containerd has its built-in configuration. */
  readonly main: string | undefined;
  /** Texts of the files that it imports, without the drop-in of the installer. */
  readonly imported: readonly string[];
  /** The installer's drop-in as it is now; undefined if there is none. */
  readonly dropIn: string | undefined;
  /** The drop-in's directory is there. */
  readonly hasDropInDirectory: boolean;
  /** All of it together as containerd sees it now: `containerd config dump`. */
  readonly effective: string;
}

export const dropInOf = (mainFile: string): string =>
  posix.join(posix.dirname(mainFile), 'conf.d', '50-sealift.toml');

/** The configuration has the handler by somebody else, in whichever form. */
function isTheirs(node: NodeConfig, own: string, handler: string): boolean {
  const isIn = (text: string): boolean => hasHandler(readConfigFile(text), handler);
  if ([own, ...node.imported].some(isIn)) return true;
  return own === (node.main ?? '') && node.dropIn === undefined && isIn(node.effective);
}

/** Plans the handler for a node's configuration. Applying the plan twice changes nothing more. */
export function planHandler(node: NodeConfig, o: HandlerOptions): Plan {
  const own = withoutHandler(node.main ?? '');
  const main = readConfigFile(own);
  const effective = readConfigFile(node.effective);
  if (isTheirs(node, own, o.handler))
    return { kind: 'present', binary: binaryOf(effective, o.handler) };
  const plain = plainRuntime(effective, o.handler);
  // A file that does not say is of version 1; an empty one may become any.
  const version = main.version ?? (own.trim() === '' ? (node.major >= 2 ? 3 : 2) : 1);
  if (CRI_SECTION[version] === undefined)
    throw new RangeError(`configuration version ${version} is not known to Sealift`);
  const tables = `${defaultRuntimes(node, own, version, o)}${handlerTables(version, plain, o)}`;
  const endsLine = own === '' || own.endsWith('\n');
  const head = `${own}${endsLine ? '' : '\n'}`;
  const notes = [
    ...(node.main === undefined || hasMadeFile(node.main) ? [FILE_MADE] : []),
    ...(endsLine ? [] : [LINE_ENDED]),
    ...(own.trim() === '' ? [`version = ${version}`, ''] : []),
  ];
  const trial = `${head}${[BEGIN, ...notes, tables].join('\n')}${END}\n`;
  const dropIn = dropInOf(node.mainFile);
  // The main file's version: containerd would migrate an older drop-in, and fill in what it doesn't say.
  if (node.major >= 2 && version >= 3 && isImported(main.imports, node.mainFile, dropIn)) {
    const isMade = !node.hasDropInDirectory || hasMadeDirectory(node.dropIn ?? '');
    const note = isMade ? `${DIRECTORY_MADE}\n` : '';
    const content = `${BEGIN}\n${note}version = ${version}\n\n${tables}${END}\n`;
    return { kind: 'write', path: dropIn, content, trial };
  }
  return { kind: 'write', path: node.mainFile, content: trial, trial };
}

/** The text without the installer's block. What others have added after the block stays. */
export function withoutHandler(text: string): string {
  const begin = text.indexOf(BEGIN);
  if (begin < 0) return text;
  const end = text.indexOf(END, begin);
  if (end < 0) return text;
  const rest = text.slice(end + END.length).replace(/^\r?\n/, '');
  const before = text.slice(0, begin);
  const isAddedTo = rest !== '' || !text.slice(begin, end).includes(LINE_ENDED);
  return isAddedTo ? before + rest : before.replace(/\r?\n$/, '');
}

/** The file is the installer's own drop-in. */
export const isOwn = (text: string): boolean => text.startsWith(BEGIN);

/** The installer has made the main file. */
export const hasMadeFile = (main: string): boolean => main.includes(FILE_MADE);

/** The installer has made the directory of its drop-in, too. */
export const hasMadeDirectory = (dropIn: string): boolean => dropIn.includes(DIRECTORY_MADE);
