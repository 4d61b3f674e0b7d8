// SPDX-License-Identifier: Apache-2.0
// A case says what it does to nodes (`needs`). One that does more would fail, instead of being skipped, where the provider lacks
// the ability. What a case does is read from its source, by the names of the functions that it calls.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Case } from '../case.ts';
import { abilities, type Ability } from './provider.ts';

/** Calls of the suite's own helpers, and of the provider's methods, with the ability that each takes. */
const marks: readonly (readonly [RegExp, Ability])[] = [
  [
    /\b(onNode|arm|disarm|waitUntilTripped|countResources|agentFiles|armedPoints|loadImage|currentStates|recordedStates)\)?\(/,
    'shell',
  ],
  [/\bprovider\.(runOnNode|unpack)\(/, 'shell'],
  [/\b(loadImage|needApplicationsImage)\)?\(|\bprovider\.loadImage\(/, 'images'],
  [/\b(installSealift|uninstallSealift)\)?\(/, 'chart'],
  [/\bprovider\.setCable\(/, 'cables'],
  [/\bprovider\.reset\(/, 'reset'],
  [/\bprovider\.controlPlane\(/, 'control-plane'],
  [/\bprovider\.startOutsidePeer\(/, 'outside-peer'],
  [/kind: 'Service'/, 'services'],
];

/** Top-level functions and constants of a module, by name. */
function definitionsIn(source: string): ReadonlyMap<string, string> {
  const definitions = new Map<string, string>();
  const start = /^(?:export )?(?:async )?(?:function|const|class) (\w+)/gm;
  const starts = [...source.matchAll(start)];
  for (const [n, match] of starts.entries()) {
    const text = source.slice(match.index, starts[n + 1]?.index);
    definitions.set(match[1] ?? '', text);
  }
  return definitions;
}

/** The abilities that a text takes, with those of all definitions that it names, directly or not. */
function abilitiesOf(text: string, definitions: ReadonlyMap<string, string>): Set<Ability> {
  const found = new Set<Ability>();
  const seen = new Set<string>();
  const read = (part: string): void => {
    for (const [mark, ability] of marks) if (mark.test(part)) found.add(ability);
    for (const [name] of part.matchAll(/\b\w+\b/g)) {
      const definition = definitions.get(name);
      if (definition === undefined || seen.has(name)) continue;
      seen.add(name);
      read(definition);
    }
  };
  read(text);
  return found;
}

const dir = new URL('../../cases/', import.meta.url);

/** Each case with the abilities that its source takes. */
async function casesWithAbilities(): Promise<{ one: Case; found: Set<Ability> }[]> {
  const all: { one: Case; found: Set<Ability> }[] = [];
  for (const file of readdirSync(dir).sort()) {
    const definitions = new Map(definitionsIn(readFileSync(new URL(file, dir), 'utf8')));
    definitions.delete('cases');
    const { cases } = (await import(new URL(file, dir).pathname)) as { cases: readonly Case[] };
    for (const one of cases)
      // A method or an arrow function: its text, or the name of a function of the file, which the text of that is.
      all.push({ one, found: abilitiesOf(`${one.run.name} ${one.run.toString()}`, definitions) });
  }
  return all;
}

test('each case says all that it does to nodes', async () => {
  const all = await casesWithAbilities();
  expect(all.length).toBeGreaterThan(100);
  for (const { one, found } of all)
    expect([...found], one.name).toEqual(
      [...found].filter((ability) => one.needs?.includes(ability)),
    );
});

test('the source of the cases shows each ability that a helper or a provider stands for', async () => {
  const shown = new Set((await casesWithAbilities()).flatMap(({ found }) => [...found]));
  // No call shows that a case changes a kernel. The others are of cells of the fault matrix, and of the table of applications.
  const elsewhere: readonly Ability[] = ['own-kernel', 'cables', 'control-plane', 'images'];
  expect(new Set([...shown, ...elsewhere])).toEqual(new Set(Object.keys(abilities)));
});

test('names are followed from function to function', () => {
  const definitions = definitionsIn(
    'async function a() {\n  await b();\n}\nconst b = () => c;\nfunction c() {\n  provider.reset(1);\n}\n',
  );
  expect([...abilitiesOf('() => a()', definitions)]).toEqual(['reset']);
  expect([...abilitiesOf('() => d()', definitions)]).toEqual([]);
});
