// SPDX-License-Identifier: Apache-2.0
// Bundles operator and agent, each with all that it imports, to one file under build/js.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const top = fileURLToPath(new URL('..', import.meta.url));

/** Some dependencies are CommonJS and call require() of Node's own modules. */
const banner = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);`;

const entries = { operator: 'operator/src/main.ts', agent: 'node-agent/src/main.ts' };

for (const [name, entry] of Object.entries(entries)) {
  if (!existsSync(top + entry)) {
    console.error(`bundle: ${entry} does not exist`);
    process.exitCode = 1;
    continue;
  }
  await build({
    absWorkingDir: top,
    entryPoints: [entry],
    outfile: `build/js/${name}.js`,
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    banner: { js: banner },
    legalComments: 'none',
    logLevel: 'warning',
  });
}
