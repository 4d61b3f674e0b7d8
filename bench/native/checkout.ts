// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';

/** Whose operator and agents are measured: BENCH_CHECKOUT names another checkout, to compare the two. */
export const measuredCheckout = process.env['BENCH_CHECKOUT'] || join(import.meta.dirname, '../..');
