// SPDX-License-Identifier: Apache-2.0
// Prepares this process for running the product in it: the kernel is simulated, and what an object's JSON becomes is
// remembered, for the same object is parsed by every cache and every request, and parsing is most of a run's work.
import { fileURLToPath } from 'node:url';
import {
  checkpointRequests,
  deepFreeze,
  migrationRequests,
  nodes,
  pods,
  restoreRequests,
  type Resource,
} from '../../kube/src/index.ts';

process.env['SEALIFT_ADDON'] = fileURLToPath(new URL('./addon.cjs', import.meta.url));

for (const resource of [migrationRequests, checkpointRequests, restoreRequests, pods, nodes]) {
  remember(resource);
}

/** Objects of the simulated server never change, so the same one always parses to the same. */
function remember(resource: Resource<object>): void {
  const known = new WeakMap<object, object>();
  const { parse } = resource;
  const again = (json: unknown): object => {
    if (typeof json !== 'object' || json === null) return parse(json);
    let parsed = known.get(json);
    if (!parsed) known.set(json, (parsed = deepFreeze(parse(json))));
    return parsed;
  };
  Object.assign(resource, { parse: again });
}
