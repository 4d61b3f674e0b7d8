// SPDX-License-Identifier: Apache-2.0
// `completion`: prints a script for a shell.
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

/** Each calls the plugin for the candidates, and drops the last line, which is for kubectl. */
const scripts: Readonly<Record<string, string>> = {
  bash: `# Completion of kubectl-sealift for bash: source <(kubectl sealift completion bash)
_kubectl_sealift() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    [[ $line == :* ]] || COMPREPLY+=("$line")
  done < <(kubectl-sealift __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _kubectl_sealift kubectl-sealift
`,
  zsh: `#compdef kubectl-sealift
# Completion of kubectl-sealift for zsh: source <(kubectl sealift completion zsh)
_kubectl_sealift() {
  local -a found
  found=(\${(f)"$(kubectl-sealift __complete "\${words[@]:1:$((CURRENT-1))}" 2>/dev/null)"})
  found=(\${found:#:*})
  compadd -a found
}
compdef _kubectl_sealift kubectl-sealift
`,
  fish: `# Completion of kubectl-sealift for fish: kubectl sealift completion fish | source
function __kubectl_sealift_complete
  set -l words (commandline -opc) (commandline -ct)
  kubectl-sealift __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c kubectl-sealift -f -a '(__kubectl_sealift_complete)'
`,
  kubectl: `#!/bin/sh
# Save as kubectl_complete-sealift, executable, in a directory of PATH: kubectl's own completion then knows kubectl sealift.
exec kubectl-sealift __complete "$@"
`,
};

export const completion: Command = {
  name: 'completion',
  summary: 'Print a completion script for bash, zsh or fish.',
  details:
    'The scripts complete kubectl-sealift. For "kubectl sealift" in any shell, kubectl calls a program ' +
    'kubectl_complete-sealift, which "completion kubectl" prints.',
  args: [{ name: 'SHELL', choices: Object.keys(scripts) }],
  options: {},
  run: async ({ args, output }) => {
    output.streams.out(scripts[args[0] ?? ''] ?? '');
    return exitCodes.ok;
  },
};
