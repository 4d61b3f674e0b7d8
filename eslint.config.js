// SPDX-License-Identifier: Apache-2.0
// Lint rules. The `walls` below keep imports pointing one way:
// crds <- kube <- operator, node-agent; native/addon is used by node-agent only; e2e sees crds only.
import tseslint from 'typescript-eslint';

const rooms = ['crds', 'kube', 'operator', 'node-agent', 'native', 'e2e', 'simulation'];
/** @type {Record<string, string[]>} */
const mayImport = {
  crds: [],
  kube: ['crds'],
  operator: ['crds', 'kube'],
  'node-agent': ['crds', 'kube', 'native'],
  native: [],
  e2e: ['crds'],
  simulation: ['crds', 'kube', 'operator', 'node-agent'],
};

/** @param {string} importer @param {string[]} others */
const forbid = (importer, others) =>
  others.map((other) => ({
    regex: `^(\\.\\./)+${other}(/|$)`,
    message: `${importer} must not import ${other}: see docs/architecture.md`,
  }));

/** @param {string} room */
const outside = (room) =>
  forbid(
    room,
    rooms.filter((other) => other !== room && !mayImport[room]?.includes(other)),
  );

/** @param {string} folder @param {ReturnType<typeof forbid>} patterns */
const wall = (folder, patterns) => ({
  files: [`${folder}/**/*.ts`],
  rules: { 'no-restricted-imports': ['error', { patterns }] },
});

// Inside the operator: what the controllers share knows none of them, and no controller knows another.
const controllers = ['migration', 'restore', 'checkpoint'];
const shared = ['requests', 'target-pod', 'nodes', 'networks'];
/** @param {string} folder */
const operatorWall = (folder) =>
  wall(`operator/src/${folder}`, [
    ...outside('operator'),
    ...forbid(
      folder,
      controllers.filter((other) => other !== folder),
    ),
  ]);

const walls = [
  ...rooms.map((room) => wall(room, outside(room))),
  // A later wall replaces the earlier one of the same file.
  ...[...shared, ...controllers].map(operatorWall),
];

export default tseslint.config(
  { ignores: ['build/**', 'node_modules/**', '**/*.js', '**/*.cjs', '**/*.mjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      complexity: ['error', 20],
      'max-lines': ['error', { max: 450, skipBlankLines: true, skipComments: true }],
    },
  },
  ...walls,
);
