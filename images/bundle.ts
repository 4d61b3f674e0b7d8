// SPDX-License-Identifier: Apache-2.0
// Bundles operator and agent, each with all that it imports, to one file under build/js; `bundle.ts kubectl-plugin` bundles
// the plugin of kubectl to a program under build/kubectl-plugin.
import { build } from 'esbuild';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const top = fileURLToPath(new URL('..', import.meta.url));

/** Some dependencies are CommonJS and call require() of Node's own modules. */
const banner = `import { createRequire as createRequireOfBundle } from 'node:module';
const require = createRequireOfBundle(import.meta.url);`;

const entries = { operator: 'operator/src/main.ts', agent: 'node-agent/src/main.ts' };
const shared = {
  absWorkingDir: top,
  bundle: true,
  platform: 'node',
  target: 'node22',
  legalComments: 'none',
  logLevel: 'warning',
} as const;

async function bundlePrograms(): Promise<void> {
  for (const [name, entry] of Object.entries(entries)) {
    if (!existsSync(top + entry)) {
      console.error(`bundle: ${entry} does not exist`);
      process.exitCode = 1;
      continue;
    }
    await build({
      ...shared,
      entryPoints: [entry],
      outfile: `build/js/${name}.js`,
      format: 'esm',
      banner: { js: banner },
    });
  }
}

/** kubectl finds a plugin by a name without an ending, which Node takes for CommonJS unless a package.json says otherwise. */
async function bundlePlugin(): Promise<void> {
  const directory = 'build/kubectl-plugin';
  const outfile = `${directory}/kubectl-sealift`;
  await build({
    ...shared,
    entryPoints: ['kubectl-plugin/src/main.ts'],
    outfile,
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
    // Dependencies that are modules ask for their own address.
    define: { 'import.meta.url': '__importMetaUrl' },
    inject: ['kubectl-plugin/import-meta-url.ts'],
  });
  writeFileSync(`${top}${directory}/package.json`, '{ "type": "commonjs" }\n');
  chmodSync(`${top}${outfile}`, 0o755);
}

await (process.argv[2] === 'kubectl-plugin' ? bundlePlugin() : bundlePrograms());
