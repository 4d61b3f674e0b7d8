// SPDX-License-Identifier: Apache-2.0
// A zod schema as the structural OpenAPI schema that apiextensions.k8s.io/v1 demands.
import { z } from 'zod';

type Json = Record<string, unknown>;

/** Widest integers that zod writes down for `z.int()`; Kubernetes says the same by `format`. */
const impliedBounds = new Set<unknown>([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);

/**
 * @returns the schema without what a structural schema may not have: `$schema`,
 * `additionalProperties` beside `properties`, bounds that only restate a 53-bit integer.
 * @throws Error when the schema uses something that has no structural form.
 */
export function toStructural(schema: z.ZodType): Json {
  const json = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    io: 'input',
    unrepresentable: 'any',
  });
  return clean(json, '');
}

function clean(node: Json, path: string): Json {
  for (const forbidden of ['$ref', 'allOf', 'anyOf', 'oneOf', 'not', '$defs', 'definitions']) {
    if (forbidden in node) throw new Error(`${path || '/'}: ${forbidden} is not structural`);
  }
  const out: Json = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === '$schema' || key === 'propertyNames' || key === 'title') continue;
    if ((key === 'maximum' || key === 'minimum') && impliedBounds.has(value)) continue;
    out[key] = value;
  }
  if (isObject(node['properties'])) {
    const properties: Json = {};
    for (const [name, child] of Object.entries(node['properties'])) {
      properties[name] = clean(child as Json, `${path}/${name}`);
    }
    out['properties'] = properties;
    delete out['additionalProperties'];
  }
  if (out['x-kubernetes-preserve-unknown-fields'] === true) delete out['additionalProperties'];
  if (isObject(node['items'])) out['items'] = clean(node['items'], `${path}[]`);
  if (isObject(out['additionalProperties'])) {
    const values = clean(out['additionalProperties'], `${path}{}`);
    if (Object.keys(values).length > 0) out['additionalProperties'] = values;
    else delete out['additionalProperties'];
  }
  if (!('type' in out) && out['x-kubernetes-preserve-unknown-fields'] !== true) {
    throw new Error(`${path || '/'}: has no type`);
  }
  return out;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
