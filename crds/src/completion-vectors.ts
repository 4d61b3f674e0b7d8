// SPDX-License-Identifier: Apache-2.0
// How many completion vectors a node's RDMA devices have, as its agent reports them. A program reads the number once
// (`num_comp_vectors` of its context) and may ask for any of them with each later queue: ibv_create_cq(3) fails with EINVAL
// for one that the device lacks. Pure.

/**
 * @param from of the node that the programs have started on; undefined: it is not known, and nothing can be asked for
 * @param to of the node that they are to run on; undefined: its agent does not say so, as that of an earlier release
 * @returns why they may not run there, as the end of a sentence; undefined: they may
 */
export function lacksVectors(from: string | undefined, to: string | undefined): string | undefined {
  const [wanted, present] = [countIn(from), countIn(to)];
  // While agents are upgraded one after another, that says nothing of a node, and pods that use no RDMA would stay too.
  if (wanted === undefined || present === undefined || present >= wanted) return undefined;
  return `has fewer completion vectors (processors) than the pod's node: ${present}, not ${wanted}; the pod may ask for any of those`;
}

const countIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
