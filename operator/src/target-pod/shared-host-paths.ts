// SPDX-License-Identifier: Apache-2.0
// The paths that the chart sets: operator.sharedHostPaths.

/** One absolute path a line. @throws Error that names the variable */
export function sharedHostPathsFrom(env: Readonly<Record<string, string | undefined>>): string[] {
  const name = 'SEALIFT_SHARED_HOST_PATHS';
  const paths = (env[name] ?? '').split('\n').filter((line) => line !== '');
  const bad = paths.find((path) => !path.startsWith('/') || path.split('/').includes('..'));
  if (bad === undefined) return paths;
  throw new Error(`${name} must have absolute paths without .., not ${JSON.stringify(bad)}.`);
}
