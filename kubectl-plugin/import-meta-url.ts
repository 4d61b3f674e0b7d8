// SPDX-License-Identifier: Apache-2.0
// images/bundle.ts puts this in place of import.meta.url, which CommonJS lacks.
import { pathToFileURL } from 'node:url';

export const __importMetaUrl = pathToFileURL(__filename).href;
