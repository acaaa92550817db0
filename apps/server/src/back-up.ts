import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { backUpDatabase } from '@task-orchestrator/core';
import { loadConfig } from './config/load-config.ts';
import { findDatabaseFile } from './database-file.ts';

const USAGE = `Usage: main backup <file> [options]

Copies the SQLite database into a file, also while the server runs, and checks the copy. Existing files are left alone.

  --config <folder>  folder of the configuration files (default: config)
  --help             show this, and exit
`;

/** Others go first: a backup has time, where callers of the server have not. */
const NICE = 10;

/** `main backup`: one line about what came of it. */
export async function runBackup(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: { config: { type: 'string', default: 'config' }, help: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (values.help) return void process.stdout.write(USAGE);
  const [to, ...more] = positionals;
  if (to === undefined || more.length > 0) throw new Error('backup needs the name of one file: backup <file>');
  const from = findDatabaseFile(loadConfig({ configDir: values.config }).config);
  setPriority(NICE);
  const { tasks, events, bytes } = await backUpDatabase({ from, to });
  process.stdout.write(`Backed up and verified: ${tasks} tasks, ${events} events, ${bytes} bytes in ${to}\n`);
}
