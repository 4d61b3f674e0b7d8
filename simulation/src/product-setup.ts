// SPDX-License-Identifier: Apache-2.0
// Import it before the product's code. It replaces native/addon by `addon.cjs`, and caches what each object's JSON is
// parsed to: every cache and every request parses the same objects, which would be most of a run's work. It reads the file
// that the product reads once: virtual time does not wait for a disk, so the first run of a process would be another one.
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
import { cpuFeatures } from '../../node-agent/src/node/host/cpu-features.ts';

process.env['SEALIFT_ADDON'] = fileURLToPath(new URL('./addon.cjs', import.meta.url));

await cpuFeatures();

for (const resource of [migrationRequests, checkpointRequests, restoreRequests, pods, nodes]) {
  cacheParsed(resource);
}

/** Correct because objects of the simulated server never change. */
function cacheParsed(resource: Resource<object>): void {
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
