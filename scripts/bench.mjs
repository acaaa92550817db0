// `npm run bench`: the benchmark, on the project's own Node and on fresh builds. Arguments go to it: `npm run bench -- --help`.
import { join } from 'node:path';
import { becomeNode, ensureBuilt, ensureInstalled, root } from './toolchain.mjs';

ensureInstalled();
if (!process.argv.includes('--source')) ensureBuilt();

becomeNode([join(root, 'bench', 'src', 'main.ts'), ...process.argv.slice(2)]);
