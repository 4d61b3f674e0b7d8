// SPDX-License-Identifier: Apache-2.0
// Lint rules. The `walls` below keep imports pointing one way:
// crds <- kube <- operator, node-agent; native/addon is used by node-agent only; e2e sees crds only.
// Within operator/src: requests, target-pod, nodes, networks, moves, certificates <- migration, restore, checkpoint <- operator.ts.
// Within node-agent/src: support <- node <- callers <- reconcilers <- agent.ts.
import tseslint from 'typescript-eslint';

const rooms = ['crds', 'kube', 'operator', 'node-agent', 'native', 'e2e', 'simulation', 'spec'];
/** @type {Record<string, string[]>} */
const mayImport = {
  crds: [],
  kube: ['crds'],
  operator: ['crds', 'kube'],
  'node-agent': ['crds', 'kube', 'native'],
  native: [],
  e2e: ['crds'],
  simulation: ['crds', 'kube', 'operator', 'node-agent'],
  spec: ['crds', 'kube', 'operator', 'node-agent'],
};

/** Patterns that forbid what a room must not import. @type {(room: string) => object[]} */
const forbidden = (room) =>
  rooms
    .filter((other) => other !== room && !mayImport[room]?.includes(other))
    .map((other) => ({
      regex: `^(\\.\\./)+${other}(/|$)`,
      message: `${room} must not import ${other}: see docs/architecture.md`,
    }));

const walls = rooms.map((room) => ({
  files: [`${room}/**/*.ts`],
  rules: { 'no-restricted-imports': ['error', { patterns: forbidden(room) }] },
}));

/** The operator's controllers share folders that know none of them, and no controller knows another. */
const controllers = ['migration', 'restore', 'checkpoint'];
const sharedFolders = ['requests', 'target-pod', 'nodes', 'networks', 'moves', 'certificates'];

const operatorWalls = [...sharedFolders, ...controllers].map((folder) => ({
  files: [`operator/src/${folder}/**/*.ts`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...forbidden('operator'),
          ...[...controllers, 'operator.ts', 'main.ts', 'testing']
            .filter((other) => other !== folder)
            .map((other) => ({
              regex: `^(\\.\\./)+${other}(/|$)`,
              message: `${folder} must not import ${other}: see operator/README.md`,
            })),
        ],
      },
    ],
  },
}));

/** The agent's rooms: each imports those before it. `agent.ts` and `main.ts` wire them; tests import any. */
const agentRooms = ['support', 'node', 'callers', 'reconcilers'];

const agentWalls = agentRooms.map((room, place) => ({
  files: [`node-agent/src/${room}/**/*.ts`],
  ignores: ['**/*.test.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...forbidden('node-agent'),
          ...[...agentRooms.slice(place + 1), 'agent.ts', 'main.ts', 'testing'].map((other) => ({
            regex: `^(\\.\\./)+${other}(/|$)`,
            message: `${room} must not import ${other}: see node-agent/README.md`,
          })),
        ],
      },
    ],
  },
}));

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
      'max-lines': ['error', { max: 400 }],
    },
  },
  // Tables of tests may be longer.
  { files: ['**/*.test.ts'], rules: { 'max-lines': ['error', { max: 450 }] } },
  {
    files: ['{crds,kube,operator,node-agent}/src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportExpression',
          message: 'Import statically: the walls below see no dynamic import.',
        },
      ],
    },
  },
  ...walls,
  ...operatorWalls,
  ...agentWalls,
);
