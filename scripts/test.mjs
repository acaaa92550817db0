// `npm test`: everything that must hold before a merge. Arguments go to vitest: `npm test -- packages/core`.
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root, runNode, runScript, say } from './toolchain.mjs';

ensureInstalled();
ensureBuilt();

const failed = ['format:check', 'lint', 'typecheck', 'knip'].filter((name) => !runScript(name));

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
if (!runNode([vitest, 'run', ...process.argv.slice(2)])) failed.push('tests');

if (failed.length > 0) say(`failed: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
