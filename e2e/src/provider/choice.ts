// SPDX-License-Identifier: Apache-2.0
// Which provider the suite asks: the one that PROVIDER names, else the one whose cluster KUBECONFIG is of.
import { realpathSync } from 'node:fs';
import { top } from '../command.ts';
import { kind } from './kind.ts';
import { lab } from './lab.ts';
import { none } from './none.ts';
import type { Provider } from './provider.ts';

const names = ['lab', 'kind', 'none'] as const;
export type ProviderName = (typeof names)[number];

export interface Surroundings {
  readonly PROVIDER?: string | undefined;
  readonly KUBECONFIG?: string | undefined;
  readonly LAB?: string | undefined;
  readonly KIND?: string | undefined;
}

/** Where lab and kind keep what they have made. */
export const labDir = (env: Surroundings): string => env.LAB ?? `${top}/build/lab`;
export const kindDir = (env: Surroundings): string => env.KIND ?? `${top}/build/kind`;

/** A file by which two names of it are known to be the same; its own name if it isn't there. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/**
 * Without PROVIDER and KUBECONFIG it is the lab. A KUBECONFIG of neither lab nor kind is somebody's cluster.
 * @throws Error for a PROVIDER that there is not
 */
export function chooseName(env: Surroundings): ProviderName {
  if (env.PROVIDER !== undefined && env.PROVIDER !== '') {
    const name = names.find((one) => one === env.PROVIDER);
    if (name) return name;
    throw new Error(`PROVIDER: there is no provider ${env.PROVIDER}. It is ${names.join(', ')}.`);
  }
  if (env.KUBECONFIG === undefined || env.KUBECONFIG === '') return 'lab';
  const file = real(env.KUBECONFIG);
  if (file === real(`${labDir(env)}/kubeconfig`)) return 'lab';
  if (file === real(`${kindDir(env)}/kubeconfig`)) return 'kind';
  return 'none';
}

export function chooseProvider(env: Surroundings): Provider {
  switch (chooseName(env)) {
    case 'lab':
      return lab(labDir(env));
    case 'kind':
      return kind(kindDir(env));
    case 'none':
      return none(env.KUBECONFIG);
  }
}

export const provider: Provider = chooseProvider(process.env);
