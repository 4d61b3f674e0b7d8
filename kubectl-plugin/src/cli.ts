// SPDX-License-Identifier: Apache-2.0
// From a command line to an exit code. main.ts calls it with the process's own streams, tests with theirs.
import { ApiError, ConnectionError, messageOf } from '../../kube/src/index.ts';
import { readArguments } from './arguments.ts';
import { openCluster, type Cluster } from './cluster.ts';
import { globalOptions, type Command, type Option } from './command.ts';
import { candidates, namesOf } from './completion.ts';
import { cancel } from './commands/cancel.ts';
import { checkpoint, restore } from './commands/checkpoint.ts';
import { completion } from './commands/completion.ts';
import { doctor } from './commands/doctor.ts';
import { drain } from './commands/drain.ts';
import { explain } from './commands/explain.ts';
import { migrate } from './commands/migrate.ts';
import { status } from './commands/status.ts';
import { trace } from './commands/trace.ts';
import { CommandError, exitCodes, usageError, type ExitCode } from './exit-codes.ts';
import { Output, tableLines, type Streams } from './output.ts';

export const commands: readonly Command[] = [
  ...[migrate, explain, drain, status, cancel, checkpoint, restore, trace, doctor, completion],
];

/** @param argv what follows `kubectl sealift` */
export async function run(
  argv: readonly string[],
  streams: Streams,
  signal: AbortSignal,
): Promise<ExitCode> {
  const output = new Output(streams);
  try {
    return await dispatch(argv, output, signal);
  } catch (error) {
    const { code, message } = problemOf(error);
    output.note(`error: ${message}`);
    return code;
  }
}

async function dispatch(
  argv: readonly string[],
  output: Output,
  signal: AbortSignal,
): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === '__complete') return complete(rest, output, signal);
  if (name === undefined || ['help', '--help', '-h'].includes(name)) {
    for (const line of overview()) output.line(line);
    return name === undefined ? exitCodes.usage : exitCodes.ok;
  }
  const command = commands.find((one) => one.name === name);
  if (!command) {
    const hint = name.startsWith('-') ? ' Options come after the command.' : '';
    throw usageError(`There is no command '${name}'.${hint} 'kubectl sealift help' lists them.`);
  }
  const { values, args } = readArguments(command, rest);
  if (values['help'] === true) {
    for (const line of helpOf(command)) output.line(line);
    return exitCodes.ok;
  }
  let opened: Cluster | undefined;
  const cluster = (): Cluster => (opened ??= openCluster(values));
  return command.run({ values, args, output, cluster, signal });
}

/** Never fails: a shell shows nothing then. */
async function complete(
  words: readonly string[],
  output: Output,
  signal: AbortSignal,
): Promise<ExitCode> {
  const values = completionValues(words);
  const found = await candidates(commands, words, async (names) => {
    const { api, namespace } = openCluster(values);
    return namesOf(api, namespace, names, AbortSignal.any([signal, AbortSignal.timeout(5000)]));
  }).catch(() => []);
  for (const one of found) output.line(one);
  output.line(':4');
  return exitCodes.ok;
}

/** Namespace, context and kubeconfig that the unfinished command line names. */
function completionValues(words: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [index, word] of words.slice(0, -1).entries()) {
    for (const [name, option] of Object.entries<Option>(globalOptions)) {
      const next = words[index + 1];
      const isName = word === `--${name}` || word === `-${option.short ?? ''}`;
      if (option.type === 'string' && isName && next !== undefined) values[name] = next;
      if (word.startsWith(`--${name}=`)) values[name] = word.slice(name.length + 3);
    }
  }
  return values;
}

/** What the user is told, and the exit code. */
function problemOf(error: unknown): { code: ExitCode; message: string } {
  if (error instanceof CommandError) return { code: error.code, message: error.message };
  if (error instanceof ConnectionError) {
    return {
      code: exitCodes.cluster,
      message: `The API server did not answer: ${error.message}. Check the network and the kubeconfig's context.`,
    };
  }
  if (error instanceof ApiError && error.code === 'NotFound') {
    return {
      code: exitCodes.cluster,
      message: `The API server does not know this: ${error.message}. Is Sealift installed? kubectl sealift doctor says.`,
    };
  }
  if (error instanceof ApiError) {
    return { code: exitCodes.cluster, message: `The API server refused: ${error.message}` };
  }
  return { code: exitCodes.cluster, message: messageOf(error) };
}

function overview(): string[] {
  return [
    'Move running pods with their RDMA connections.',
    '',
    'Usage: kubectl sealift COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    ...tableLines(commands.map(({ name, summary }) => [`  ${name}`, summary])),
    '',
    "'kubectl sealift COMMAND --help' says more. Exit codes: 0 done; 1 refused, failed or not movable; 2 wrong command line;",
    '3 no answer from the API server; 4 --timeout is over; 130 interrupted.',
  ];
}

export function helpOf({ name, summary, details, args, options }: Command): string[] {
  const usage = args.map((one) => {
    const text = one.repeated ? `${one.name}...` : one.name;
    return one.optional ? `[${text}]` : text;
  });
  const lines = (of: Readonly<Record<string, Option>>): string[] =>
    tableLines(
      Object.entries(of).map(([option, { short, value, help, choices }]) => [
        `  ${short === undefined ? '    ' : `-${short}, `}--${option}${value === undefined ? '' : ` ${value}`}`,
        choices ? `${help} (${choices.join(', ')})` : help,
      ]),
    );
  return [
    summary,
    ...(details === undefined ? [] : [details]),
    '',
    ['Usage: kubectl sealift', name, ...usage, '[OPTIONS]'].join(' '),
    '',
    ...lines({ ...options, ...globalOptions }),
  ];
}
