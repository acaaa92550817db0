import { defineConfig } from 'tsdown';
import { wireDeclarations, wireRuntime } from './build/wire-module.ts';

export default defineConfig({
  entry: ['src/index.ts', 'src/opentelemetry.ts', 'src/trpc.ts'],
  platform: 'neutral',
  target: 'es2022',
  dts: true,
  treeshake: { moduleSideEffects: false },
  plugins: [
    {
      // `src/wire.ts` reads zod schemas; the package gets what they say, and not zod.
      name: 'wire-without-zod',
      load: {
        order: 'pre',
        handler(id) {
          if (id.endsWith('/src/wire.ts')) return { code: wireRuntime(), moduleType: 'js' };
          return id.endsWith('/src/wire.d.ts') ? wireDeclarations() : null;
        },
      },
    },
  ],
  // Whoever installs the client installs nothing else. Only `./opentelemetry` and the types of
  // `./trpc` name packages, for those who have them anyway.
  deps: { onlyBundle: [], neverBundle: [/^@trpc\/server$/, /^@opentelemetry\/api$/] },
});
