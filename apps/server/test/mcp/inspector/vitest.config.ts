import { defineConfig } from 'vitest/config';

// On demand: the Inspector is 110 MB, more than all other dependencies of the server. `npm run test:inspector`
export default defineConfig({
  root: import.meta.dirname,
  ssr: { resolve: { conditions: ['to-source', 'node'] } },
  test: { include: ['*.check.ts'], globalSetup: ['./install.ts'], testTimeout: 120_000 },
});
