// SPDX-License-Identifier: Apache-2.0
// `doctor`: what is wrong with Sealift in this cluster, and what to do.
import { textIn } from '../values.ts';
import { outputOption, type Command } from '../command.ts';
import { examine } from '../doctor/checks.ts';
import { readFacts } from '../doctor/facts.ts';
import { exitCodes } from '../exit-codes.ts';

export const doctor: Command = {
  name: 'doctor',
  summary:
    'Look at nodes, kernels, drivers, runtime handlers, Multus, clocks, CPU features and certificates.',
  details: 'The exit code is 1 if there is a fault; warnings do not count. It only reads.',
  args: [],
  options: {
    quiet: { type: 'boolean', short: 'q', help: 'Show only what is not in order.' },
    output: outputOption,
  },
  run: async ({ values, output, cluster, signal }) => {
    const facts = await readFacts(cluster().api, output.streams.now(), signal);
    const all = examine(facts);
    const results = values['quiet'] === true ? all.filter(({ state }) => state !== 'ok') : all;
    const format = textIn(values, 'output');
    if (format !== undefined) output.objects(format, [{ results }]);
    else {
      output.table(
        ['STATE', 'CHECK', 'OBJECT', 'MESSAGE'],
        results.map(({ state, check, object, message }) => [state, check, object, message]),
      );
      const count = (state: string): number => all.filter((one) => one.state === state).length;
      output.note(`${count('fault')} faults, ${count('warning')} warnings.`);
    }
    return all.some(({ state }) => state === 'fault') ? exitCodes.failed : exitCodes.ok;
  },
};
