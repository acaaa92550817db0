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
  outputOptions: {
    entryFileNames: '[name].js',
    // As deep below the root as their sources, which look for `migrations` and `config` from where they are.
    chunkFileNames: 'parts/[name].js',
    // The text of what runs stays in memory, for functions that are compiled later.
    comments: false,
  },
  plugins: [
    {
      name: 'one-byte-characters',
      generateBundle(_options, bundle) {
        for (const file of Object.values(bundle)) if (file.type === 'chunk') file.code = toAscii(file.code);
      },
    },
  ],
});

/** One character of another alphabet, and V8 keeps two bytes for each of a file. In code they stand in literals alone. */
function toAscii(code: string): string {
  return code.replaceAll(/[^\0-\x7f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
