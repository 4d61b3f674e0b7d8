// SPDX-License-Identifier: Apache-2.0
// What a shell may complete. The scripts call `kubectl-sealift __complete WORDS...`, which prints one candidate a line and
// a last line `:4` (no file names), as kubectl's own completion expects it of plugins (kubectl_complete-sealift).
import { nodes, pods, type Client, type Resource } from '../../kube/src/index.ts';
import { checkpointRequests, migrationRequests, restoreRequests } from '../../kube/src/index.ts';
import { globalOptions, type Argument, type Command, type Names, type Option } from './command.ts';

/** The words of a command line, the last one unfinished. @returns what it may become */
export async function candidates(
  commands: readonly Command[],
  words: readonly string[],
  list: (names: Names) => Promise<string[]>,
): Promise<string[]> {
  const last = words.at(-1) ?? '';
  const [name, ...before] = words.slice(0, -1);
  if (name === undefined)
    return starting(
      last,
      commands.map((one) => one.name),
    );
  const command = commands.find((one) => one.name === name);
  if (!command) return [];
  const options: Record<string, Option> = { ...globalOptions, ...command.options };
  const previous = optionNamed(options, before.at(-1));
  if (previous?.type === 'string') return starting(last, await valuesOf(previous, list));
  if (last.startsWith('-')) {
    return starting(
      last,
      Object.keys(options).map((option) => `--${option}`),
    );
  }
  const given = before.filter(
    (word, index) =>
      !word.startsWith('-') && optionNamed(options, before[index - 1])?.type !== 'string',
  );
  const argument = command.args[Math.min(given.length, command.args.length - 1)];
  if (!argument || (given.length >= command.args.length && !argument.repeated)) return [];
  return starting(last, await valuesOf(argument, list));
}

const starting = (prefix: string, all: readonly string[]): string[] =>
  all.filter((one) => one.startsWith(prefix)).sort();

function optionNamed(
  options: Record<string, Option>,
  word: string | undefined,
): Option | undefined {
  if (!word?.startsWith('-') || word.includes('=')) return undefined;
  if (word.startsWith('--')) return options[word.slice(2)];
  return Object.values(options).find((one) => one.short === word.slice(1));
}

async function valuesOf(
  { choices, names }: Option | Argument,
  list: (names: Names) => Promise<string[]>,
): Promise<readonly string[]> {
  return choices ?? (names === undefined ? [] : list(names));
}

/** Names from the API server. */
export async function namesOf(
  api: Client,
  namespace: string,
  names: Names,
  signal: AbortSignal,
): Promise<string[]> {
  const of = async (resource: Resource<unknown>, prefix = ''): Promise<string[]> => {
    const { items } = await api.list(resource, {
      ...(resource.namespaced ? { namespace } : {}),
      signal,
    });
    return items.map(
      (one) => prefix + ((one as { metadata?: { name?: string } }).metadata?.name ?? ''),
    );
  };
  const owner = (kind: string, plural: string): Resource<unknown> => ({
    ...{ apiVersion: 'apps/v1', kind, plural, namespaced: true },
    parse: (json) => json,
  });
  switch (names) {
    case 'pod':
      return of(pods);
    case 'workload':
      return [
        ...(await of(pods)),
        ...(await of(owner('Deployment', 'deployments'), 'deploy/')),
        ...(await of(owner('StatefulSet', 'statefulsets'), 'sts/')),
      ];
    case 'node':
      return of(nodes);
    case 'checkpoint':
      return of(checkpointRequests);
    case 'request':
      return [
        ...(await of(migrationRequests)),
        ...(await of(checkpointRequests, 'creq/')),
        ...(await of(restoreRequests, 'rreq/')),
      ];
  }
}
