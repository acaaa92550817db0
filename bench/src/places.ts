import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const places = {
  root: here('../..'),
  peers: here('../peers'),
  wrk: here('../wrk'),
  results: here('../results.json'),
  profiles: here('../profiles'),
  bun: here('../peers/node_modules/bun/bin/bun.exe'),
  bunqueue: here('../peers/node_modules/bunqueue/dist/cli/index.js'),
  load: here('./load/main.ts'),
  fill: here('./load/fill-store.ts'),
  idle: here('./load/idle.ts'),
  bareHttp: here('./load/bare-http.ts'),
  pacedHttp: here('./load/paced-http.ts'),
  bareSqlite: here('./load/bare-sqlite.ts'),
  builtServer: here('../../apps/server/dist/main.js'),
  sourceServer: here('../../apps/server/src/main.ts'),
  /** As `npm start` runs it. */
  serverFlags: JSON.parse(readFileSync(here('../../scripts/server-flags.json'), 'utf8')) as string[],
  serverEnv: JSON.parse(readFileSync(here('../../scripts/server-env.json'), 'utf8')) as Record<string, string>,
} as const;
