// SPDX-License-Identifier: Apache-2.0
// Reads a command line. Every mistake becomes an error that names the argument and says what to do.
import { parseArgs } from 'node:util';
import { globalOptions, type Command, type Option } from './command.ts';
import { usageError } from './exit-codes.ts';
import type { Values } from './values.ts';

export interface CommandLine {
  readonly values: Values;
  readonly args: readonly string[];
}

/** @throws CommandError for a command line that the command does not take */
export function readArguments(command: Command, argv: readonly string[]): CommandLine {
  const options: Record<string, Option> = { ...globalOptions, ...command.options };
  const { values, positionals, tokens } = parse(command, argv, options);
  if (values['help'] === true) return { values, args: positionals };
  for (const token of tokens) {
    if (token.kind === 'option') checkOption(command, options, token);
  }
  checkPositionals(command, positionals);
  for (const [name, { check }] of Object.entries(options)) check?.(values, name);
  return { values, args: positionals };
}

function parse(
  command: Command,
  argv: readonly string[],
  options: Record<string, Option>,
): ReturnType<typeof parseLoosely> {
  try {
    return parseLoosely(argv, options);
  } catch (error) {
    throw mistake(command, error instanceof Error ? error.message : String(error));
  }
}

/** Not strict: Node's own messages speak of Node. */
const parseLoosely = (argv: readonly string[], options: Record<string, Option>) =>
  parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { type, short }]) => [
        name,
        { type, ...(short === undefined ? {} : { short }) },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
}

function checkOption(
  command: Command,
  options: Record<string, Option>,
  { name, rawName, value }: OptionToken,
): void {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (!option) throw mistake(command, `There is no option ${rawName}.`);
  if (option.type === 'boolean') {
    if (value !== undefined) throw mistake(command, `Option ${rawName} takes no value.`);
    return;
  }
  if (value === undefined || value === '') {
    throw mistake(command, `Option ${rawName} needs a value: ${rawName} ${option.value ?? ''}.`);
  }
  if (option.choices && !option.choices.includes(value)) {
    throw mistake(command, `Option ${rawName} is ${option.choices.join(' or ')}, not '${value}'.`);
  }
}

function checkPositionals(command: Command, given: readonly string[]): void {
  const { args } = command;
  const missing = args.find((arg, index) => !arg.optional && given[index] === undefined);
  if (missing) throw mistake(command, `${missing.name} is missing.`);
  const last = args.at(-1);
  if (given.length > args.length && !last?.repeated) {
    throw mistake(command, `Argument '${given[args.length] ?? ''}' is one too many.`);
  }
  for (const [index, value] of given.entries()) {
    const arg = args[Math.min(index, args.length - 1)];
    if (arg?.choices && !arg.choices.includes(value)) {
      throw mistake(command, `${arg.name} is ${arg.choices.join(', ')}, not '${value}'.`);
    }
  }
}

const mistake = (command: Command, message: string): ReturnType<typeof usageError> =>
  usageError(`${message} See 'kubectl sealift ${command.name} --help'.`);
