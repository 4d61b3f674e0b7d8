// SPDX-License-Identifier: Apache-2.0
// Replaces native/addon's binary (SEALIFT_ADDON): passes every call to the kernel of the installed simulation.
'use strict';
const key = Symbol.for('sealift.simulation.kernel');
module.exports = new Proxy(
  {},
  {
    get:
      (_target, name) =>
      (...args) =>
        globalThis[key][name](...args),
  },
);
