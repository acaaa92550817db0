// `npm start`: brings the workspace up where needed, then runs the server on the project's own Node.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { becomeNode, ensureBuilt, ensureInstalled, fail, root, serverEnv, serverFlags } from './toolchain.mjs';

ensureInstalled();
ensureBuilt();

const main = join(root, 'apps', 'server', 'dist', 'main.js');
if (!existsSync(main)) fail('apps/server/dist/main.js is missing after the build');
becomeNode([...serverFlags, main, ...process.argv.slice(2)], serverEnv);
