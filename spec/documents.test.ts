// SPDX-License-Identifier: Apache-2.0
// Every path of this repository that a document names exists: in backticks, as a link, or as the number of an ADR.
import { globSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { filesIn, read, root, skipped } from './repository.ts';

const files = filesIn(root);
const documents = files.filter((path) => path.endsWith('.md'));
const top = readdirSync(root).filter((name) => !skipped.has(name));

/** Endings of files that are written here: a name that has one and no directory is one of ours too. */
const source = /^[\w.*{},/-]+\.(ts|c|h|cpp|sh|md|pml|mk|proto|py|patch|tpl)$/;
const path = /^[\w.@*{},-]+(\/[\w.@*{},-]+)*\/?$/;

const exists = (directory: string, name: string): boolean =>
  /[*{]/.test(name)
    ? globSync(name, { cwd: join(root, directory) }).length > 0
    : statSync(join(root, directory, name), { throwIfNoEntry: false }) !== undefined;

/** Whether a word in backticks names nothing of this repository, or something that is there. */
function isFine(word: string, document: string): boolean {
  if (!path.test(word) || /^docs\/adr\/\d{4}$/.test(word)) return true;
  const here = dirname(document);
  if (word.includes('/') && top.includes(word.split('/')[0] ?? '')) return exists('.', word);
  if (!source.test(word)) return true;
  const isBare = !/[/*{]/.test(word);
  return (
    [here, join(here, 'src'), dirname(here), '.'].some((directory) => exists(directory, word)) ||
    (isBare && files.some((file) => file.startsWith(here) && file.endsWith(`/${word}`)))
  );
}

const all = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '');

function missingIn(document: string): string[] {
  const text = read(document);
  const prose = text.replaceAll(/^```.*?^```/gms, '');
  const words = all(prose, /`([^`\n]+)`/g).filter((word) => !isFine(word, document));
  const links = all(prose, /\]\((?!https?:|#)([^)#\s]+)/g).filter(
    (link) => !exists(dirname(document), link),
  );
  const decisions = all(text, /\badr\/(\d{4})/g).filter((number) => {
    return !files.some((file) => file.startsWith(`docs/adr/${number}-`));
  });
  return [...words, ...links, ...decisions];
}

it.each(documents)('%s', (document) => {
  expect(missingIn(document)).toEqual([]);
});

it('notices a path that is not there', () => {
  expect(isFine('crds/src/nothing.ts', 'README.md')).toBe(false);
  expect(isFine('nothing.ts', 'kube/README.md')).toBe(false);
  expect(isFine('controller.ts', 'kube/README.md')).toBe(true);
  expect(isFine('status.decision', 'README.md')).toBe(true);
});

it('docs/adr/README.md has every decision by its title', () => {
  const titles = files
    .filter((file) => /^docs\/adr\/\d{4}-/.test(file))
    .map((file) => all(read(file), /^# (\d{4}: .+)$/gm)[0] ?? file);
  const listed = read('docs/adr/README.md');
  expect(titles.filter((title) => !listed.includes(`\n- ${title}`))).toEqual([]);
});
