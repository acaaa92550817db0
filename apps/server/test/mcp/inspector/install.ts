import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const VERSION = '2.12.0';
const FOLDER = join(
  import.meta.dirname,
  '../../../../../node_modules/.cache/task-orchestrator',
  `inspector-${VERSION}`,
);

/** Its command line. */
export const INSPECTOR = join(FOLDER, 'node_modules/.bin/mcp-inspector');

/** Fetches the Inspector once, outside of the workspace. */
export default function install(): void {
  if (existsSync(INSPECTOR)) return;
  mkdirSync(FOLDER, { recursive: true });
  const name = `@modelcontextprotocol/inspector@${VERSION}`;
  execFileSync('npm', ['install', '--prefix', FOLDER, '--no-audit', '--no-fund', '--ignore-scripts', name], {
    stdio: 'inherit',
  });
}
