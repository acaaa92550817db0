import { defineConfig } from 'vitest/config';

const project = (name: string, root: string, include = ['src/**/*.test.ts', 'test/**/*.test.ts']) => ({
  // `extends` and a folder's own `root`: projects given as globs would not inherit the conditions below.
  extends: true as const,
  root,
  test: { name, include },
});

export default defineConfig({
  // Workspace packages resolve to their sources: tests need no build.
  ssr: { resolve: { conditions: ['to-source', 'node', 'import', 'module', 'default'] } },
  test: {
    testTimeout: 10_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    passWithNoTests: true,
    projects: [
      project('contract', './packages/contract'),
      project('core', './packages/core'),
      project('client', './packages/client'),
      project('server', './apps/server'),
      {
        extends: true as const,
        test: { name: 'e2e', include: ['tests/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
      },
    ],
  },
});
