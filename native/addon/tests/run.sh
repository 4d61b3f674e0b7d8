#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The addon's tests on a node: root, Sealift's rdma_rxe, iproute2, perftest. Lies beside what it runs.
cd "$(dirname "$0")" && SEALIFT_ADDON=$PWD/sealift.node exec ./node driver.mjs
