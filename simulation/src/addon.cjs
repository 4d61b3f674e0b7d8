// SPDX-License-Identifier: Apache-2.0
// Takes the place of native/addon's binary (SEALIFT_ADDON): every call goes to the world that runs.
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
