// SPDX-License-Identifier: Apache-2.0
import { provider } from './provider/choice.ts';

/** For how many seconds a program runs that is moved in mid-run: longer than preparation and move take on an emulated node. */
export const RUN_SECONDS = 110 * provider.slowness;
