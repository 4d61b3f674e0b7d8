// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { handlersOf, withoutHandlersOf } from './handler-tables.ts';

const BINARY = '/opt/sealift/bin/sealift-runc';
const AT = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes";
const ours = (name = 'sealift', binary = BINARY): string =>
  `[${AT}.${name}]\n  runtime_type = 'io.containerd.runc.v2'\n\n[${AT}.${name}.options]\n  BinaryName = '${binary}'\n`;

describe('a handler without the installer’s comments', () => {
  it.each<[string, string, string]>([
    ['alone', ours(), ''],
    ['before another table', `version = 3\n\n${ours()}\n[debug]\n`, 'version = 3\n\n[debug]\n'],
    ['at the end, without a line’s end', `a = 1\n${ours().trimEnd()}`, 'a = 1'],
    [
      'of two names',
      `${ours()}${ours('old')}${ours('kata', '/bin/kata')}`,
      ours('kata', '/bin/kata'),
    ],
    [
      'before a comment of the next table',
      `${ours()}\n# theirs\n\n[debug]\n`,
      '# theirs\n\n[debug]\n',
    ],
    ['with a comment inside', ours().replace('  Binary', '# why\n  Binary'), ''],
    ['before an array of tables', `${ours()}[[x]]\n  a = 1\n`, '[[x]]\n  a = 1\n'],
    [
      'in dotted keys',
      `${AT}.sealift.options.BinaryName = '${BINARY}'\n${AT}.runc.options.Root = ''\n`,
      `${AT}.runc.options.Root = ''\n`,
    ],
    [
      'with Windows line ends',
      `a = 1\r\n${ours().replaceAll('\n', '\r\n')}[debug]\r\n`,
      'a = 1\r\n[debug]\r\n',
    ],
  ])('%s goes, and nothing else', (_, text, rest) => {
    expect(withoutHandlersOf(text, BINARY)).toBe(rest);
    expect(handlersOf(rest, BINARY)).toEqual([]);
  });

  it.each<[string, string]>([
    ['of another program', ours('sealift', '/usr/bin/runc')],
    ['that only a string of several lines has', `a = '''\n${ours()}'''\n`],
    ['that only a comment has', ours().replaceAll(/^/gm, '#')],
    ['in an inline table', `[${AT}]\n  sealift = { options = { BinaryName = '${BINARY}' } }\n`],
    ['of another section', ours().replaceAll('containerd.runtimes', 'containerd.other')],
  ])('%s stays', (_, text) => {
    expect(withoutHandlersOf(text, BINARY)).toBe(text);
  });
});
