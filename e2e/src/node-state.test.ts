// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { differences, isExpected } from './node-state.ts';

describe('two states', () => {
  it('differ by what only one of them has', () => {
    expect(differences(['a', 'b', 'c'], ['b', 'c', 'd'])).toEqual(['- a', '+ d']);
    expect(differences(['a'], ['a'])).toEqual([]);
  });

  it.each([
    ['+ object customresourcedefinition.apiextensions.k8s.io/migrationrequests.sealift.dev', true],
    ['- object customresourcedefinition.apiextensions.k8s.io/migrationrequests.sealift.dev', false],
    ['+ object runtimeclass.node.k8s.io/sealift', false],
    ['+ module nft_ct', true],
    ['+ module rdma_rxe', false],
    ['- module rdma_rxe', false],
    ['+ module ib_uverbs', false],
    ['+ module ib_iser', true],
    ['+ module udp_tunnel', false],
    ['+ file d 755 root:root /opt/sealift', false],
    ['- containerd imports = []', false],
  ])('may differ after an uninstall by %s: %s', (difference, expected) => {
    expect(isExpected(difference)).toBe(expected);
  });
});
