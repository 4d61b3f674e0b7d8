// SPDX-License-Identifier: Apache-2.0
// What a node lacks for Sealift, by name. registration.ts publishes it on the Node object.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, type Failure } from '../../support/errors.ts';
import { namesIn } from '../../support/optional-file.ts';
import type { Host } from '../host/host.ts';
import { findContainerd, majorOf } from './containerd.ts';
import { handlerConfigured } from './runtime-handler.ts';

/** Where the kubelet's runtime looks for CNI configuration. */
const CNI_CONFIG_DIR = '/etc/cni/net.d';

/** The runtime is one that Sealift works with, and has the handler. Undefined: it is and has. */
export async function runtimeProblem(
  host: Host,
  runtimeVersion: string,
  handler: string,
): Promise<Failure | undefined> {
  try {
    majorOf(runtimeVersion);
    const { mainFile } = await findContainerd();
    if (await handlerConfigured(host, mainFile, handler)) return undefined;
    return {
      code: 'HandlerMissing',
      message:
        `containerd of this node has no runtime handler ${handler} in ${mainFile} or what that file imports. ` +
        'Set agent.runtime.configure to true in the chart, or add the handler as charts/sealift/README.md says.',
    };
  } catch (error) {
    return reasonOf(error);
  }
}

/** The first CNI configuration by name, which is the one that counts, is of Multus. Undefined: it is. */
export async function multusProblem(host: Host): Promise<Failure | undefined> {
  const dir = host.path(CNI_CONFIG_DIR);
  const [first] = (await namesIn(dir))
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .sort();
  const text = first === undefined ? '' : await readFile(join(dir, first), 'utf8');
  if (/"type"\s*:\s*"multus/.test(text)) return undefined;
  return {
    code: 'MultusMissing',
    message:
      `The CNI configuration of this node (${first === undefined ? `none in ${CNI_CONFIG_DIR}` : join(CNI_CONFIG_DIR, first)}) is not of Multus. ` +
      'Pods without RDMA can be moved. Install Multus for pods with RDMA.',
  };
}
