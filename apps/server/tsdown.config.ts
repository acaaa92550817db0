import { defineConfig } from 'tsdown';

/**
 * What runs is bundled, one file for all servers and one for each part that is loaded when it is needed: as a thousand
 * modules it takes 13 MiB more. `dependencies` are what stays outside and is installed: drivers, and what is not an import.
 */
export default defineConfig({
  entry: ['src/main.ts', 'src/check-health.ts'],
  platform: 'node',
  hash: false,
  dts: false,
  sourcemap: true,
  deps: { onlyBundle: false },
  inputOptions: { resolve: { conditionNames: ['to-source', 'node', 'import', 'module', 'default'] } },
  // As deep below the root as their sources, which look for `migrations` and `config` from where they are.
  outputOptions: { entryFileNames: '[name].js', chunkFileNames: 'parts/[name].js' },
});
