// `npm run test:inspector`: takes tasks through their life with the MCP Inspector. On demand, since that is 110 MB to fetch.
import { join } from 'node:path';
import { ensureInstalled, root, runNode } from './toolchain.mjs';

ensureInstalled();
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const config = join(root, 'apps', 'server', 'test', 'mcp', 'inspector', 'vitest.config.ts');
process.exitCode = runNode([vitest, 'run', '--config', config, ...process.argv.slice(2)]) ? 0 : 1;
