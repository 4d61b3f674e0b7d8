// SPDX-License-Identifier: Apache-2.0
// The Helm chart's manifests, as an administrator would install them.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { TestServer } from './api-server.ts';
import type { Manifest } from './definitions.ts';

export const chart = join(import.meta.dirname, '..', '..', 'charts', 'sealift');

/**
 * @param values `name=value` of helm's `--set`
 * @param apiVersions that the cluster serves besides Kubernetes' own
 * @returns the manifests of a template for the release and namespace `sealift`; undefined where there is no helm.
 */
export function render(
  { binaries }: Pick<TestServer, 'binaries'>,
  template: string,
  values: readonly string[] = [],
  apiVersions: readonly string[] = [],
): Manifest[] | undefined {
  const helm = join(binaries, 'helm');
  if (!existsSync(helm)) return undefined;
  const args = ['template', 'sealift', chart, '--namespace', 'sealift', '--kube-version', '1.31.0'];
  const text = execFileSync(
    helm,
    [
      ...args,
      ...values.flatMap((one) => ['--set', one]),
      ...apiVersions.flatMap((one) => ['--api-versions', one]),
      ...['--show-only', `templates/${template}`],
    ],
    {
      encoding: 'utf8',
    },
  );
  return parseAllDocuments(text).map((one) => one.toJS() as Manifest);
}

interface Program {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env?: readonly { name: string; value?: string }[];
        }[];
      };
    };
  };
}

/** The options that a Deployment or DaemonSet of the chart gives Node.js. */
export function nodeOptionsOf(workload: object | undefined): string | undefined {
  const { spec } = (workload ?? {}) as Partial<Program>;
  const [container] = spec?.template.spec.containers ?? [];
  return container?.env?.find((one) => one.name === 'NODE_OPTIONS')?.value;
}

/**
 * The manifests of the whole chart, hooks among them.
 * @returns undefined where there is no helm
 */
export function renderAll(
  { binaries }: Pick<TestServer, 'binaries'>,
  { release, namespace }: { readonly release: string; readonly namespace: string },
  values: readonly string[] = [],
): Manifest[] | undefined {
  const helm = join(binaries, 'helm');
  if (!existsSync(helm)) return undefined;
  const args = ['template', release, chart, '--namespace', namespace, '--kube-version', '1.31.0'];
  const text = execFileSync(helm, [...args, ...values.flatMap((one) => ['--set', one])], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return parseAllDocuments(text)
    .map((one) => one.toJS() as Manifest | null)
    .filter((one) => one !== null);
}

/** @returns the manifests and the notes that `helm install` would make, as the API server's definitions are; it makes nothing. */
export function install(
  { binaries, kubeconfig }: Pick<TestServer, 'binaries' | 'kubeconfig'>,
  values: readonly string[] = [],
): string {
  const args = ['install', 'sealift', chart, '--namespace', 'sealift', '--dry-run=server'];
  return execFileSync(
    join(binaries, 'helm'),
    [...args, '--kubeconfig', kubeconfig, ...values.flatMap((one) => ['--set', one])],
    { encoding: 'utf8' },
  );
}
