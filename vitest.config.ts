import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** One real PostgreSQL for the run. */
const startPostgres = fileURLToPath(new URL('packages/core/test/postgres.setup.ts', import.meta.url));

const project = (name: string, root: string, include = ['src/**/*.test.ts', 'test/**/*.test.ts']) => ({
  // `extends` and a folder's own `root`: projects given as globs would not inherit the conditions below.
  extends: true as const,
  root,
  test: { name, include },
});

export default defineConfig({
  // Workspace packages resolve to their sources: tests need no build.
  ssr: { resolve: { conditions: ['to-source', 'node'] } },
  test: {
    testTimeout: 10_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    // By default one core is left free, which is half of a machine with two.
    maxWorkers: '100%',
    passWithNoTests: true,
    projects: [
      project('contract', './packages/contract'),
      {
        ...project('core', './packages/core'),
        test: { ...project('core', '').test, globalSetup: [startPostgres] },
      },
      project('client', './packages/client'),
      project('server', './apps/server'),
      {
        extends: true as const,
        test: {
          name: 'e2e',
          include: ['tests/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Tests that load the machine and measure times run alone, after all others.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
