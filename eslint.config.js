// SPDX-License-Identifier: Apache-2.0
// Lint rules. The `walls` below keep imports pointing one way:
// crds <- kube <- operator, node-agent, kubectl-plugin; native/addon is used by node-agent only; e2e sees crds only; simulation and spec see
// operator and node-agent; bench sees all that it measures; nothing imports bench, simulation or spec, and only bench imports e2e.
// Within operator/src: certificates, image-keys, moves, nodes, target-pod <- networks <- requests <- migration, restore, checkpoint, evictions <- operator.ts.
// Within e2e: src <- faults <- cases <- main.ts.
// Within node-agent/src: support <- node <- callers <- reconcilers <- agent.ts.
import { readdirSync } from 'node:fs';
import tseslint from 'typescript-eslint';

const components = [
  'bench',
  'crds',
  'kube',
  'kubectl-plugin',
  'operator',
  'node-agent',
  'native',
  'e2e',
  'simulation',
  'spec',
];
/** @type {Record<string, string[]>} */
const mayImport = {
  bench: ['crds', 'kube', 'operator', 'node-agent', 'native', 'e2e'],
  crds: [],
  kube: ['crds'],
  'kubectl-plugin': ['crds', 'kube'],
  operator: ['crds', 'kube'],
  'node-agent': ['crds', 'kube', 'native'],
  native: [],
  e2e: ['crds'],
  simulation: ['crds', 'kube', 'operator', 'node-agent'],
  spec: ['crds', 'kube', 'operator', 'node-agent'],
};

/** Patterns that forbid what a component must not import. @type {(component: string) => object[]} */
const forbidden = (component) =>
  components
    .filter((other) => other !== component && !mayImport[component]?.includes(other))
    .map((other) => ({
      regex: `^(\\./)?(\\.\\./)+${other}(/|$)`,
      message: `${component} must not import ${other}: see docs/architecture.md`,
    }))
    .concat({
      regex: '(^|/)[^./][^/]*/\\.\\./',
      message: 'Use the shortest relative path: the import rules match its prefix.',
    });

/** Of two walls around a file the later one counts: each repeats what its component must not import. @param {object[]} more */
const wall = (component, files, more = []) => ({
  files: [files],
  ignores: more.length > 0 ? ['**/*.test.ts'] : [],
  rules: {
    'no-restricted-imports': ['error', { patterns: [...forbidden(component), ...more] }],
  },
});

const walls = components.map((component) => wall(component, `${component}/**/*.ts`));

/**
 * The directories of a component, in order: each imports those before it, and none of its own row.
 * Top-level files that wire the directories, and `testing`, are imported by none of them. Tests import any.
 * @param {string} component @param {string[][]} rows @param {string[]} wiring
 */
const orderedDirectories = (component, rows, wiring) => {
  const source = new URL(`./${component}/src`, import.meta.url);
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const isOutside = entry.isDirectory() && entry.name !== 'testing';
    if (isOutside && !rows.flat().includes(entry.name))
      throw new Error(`${component}/src/${entry.name} has no row in eslint.config.js`);
  }
  return rows.flatMap((row, place) =>
    row.map((directory) => {
      const others = [...rows.slice(place).flat(), ...wiring, 'testing'];
      return wall(
        component,
        `${component}/src/${directory}/**/*.ts`,
        others
          .filter((other) => other !== directory)
          .map((other) => ({
            regex: `^(\\./)?(\\.\\./)+(src/)?${other}(/|$)`,
            message: `${directory} must not import ${other}: see ${component}/README.md`,
          })),
      );
    }),
  );
};

/** What runs imports no tests. */
const testingWalls = ['kube', 'kubectl-plugin', 'operator', 'node-agent'].map((component) =>
  wall(component, `${component}/src/*.ts`, [
    { regex: '(^|/)testing/', message: `${component}/src must not import testing` },
  ]),
);

const operatorWalls = orderedDirectories(
  'operator',
  [
    ['certificates', 'image-keys', 'moves', 'nodes', 'target-pod'],
    ['networks'],
    ['requests'],
    ['migration', 'restore', 'checkpoint', 'evictions'],
  ],
  ['operator.ts', 'main.ts'],
);

const agentWalls = orderedDirectories(
  'node-agent',
  [['support'], ['node'], ['callers'], ['reconcilers']],
  ['agent.ts', 'installer.ts', 'readiness.ts', 'main.ts'],
);

/** What cases and the fault matrix share knows neither of them. */
const e2eWalls = [
  ['src', '(cases|faults|lanes(\\.ts)?|main\\.ts|demo\\.ts)'],
  ['faults', '(cases|lanes(\\.ts)?|main\\.ts|demo\\.ts)'],
  ['cases', '(lanes(\\.ts)?|main\\.ts|demo\\.ts)'],
].map(([directory, others]) =>
  wall('e2e', `e2e/${directory}/**/*.ts`, [
    {
      regex: `^(\\./)?(\\.\\./)+${others}(/|$)`,
      message: `e2e/${directory} must not import that: main.ts <- cases <- faults <- src`,
    },
  ]),
);

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
    files: ['{crds,kube,kubectl-plugin,operator,node-agent,simulation,spec,e2e}/**/*.ts'],
    // Cases are found by their files' names.
    ignores: ['e2e/src/runner.ts', '**/*.test.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportExpression, TSImportType',
          message: 'Import with a statement: the walls below see nothing else.',
        },
      ],
    },
  },
  ...walls,
  ...testingWalls,
  ...operatorWalls,
  ...agentWalls,
  ...e2eWalls,
);
