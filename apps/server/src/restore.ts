import { parseArgs } from 'node:util';
import { restoreDatabase } from '@task-orchestrator/core';
import { loadConfig } from './config/load-config.ts';
import { findDatabaseFile } from './database-file.ts';

const USAGE = `Usage: main restore <file> [options]

Puts a backup where the server looks for its SQLite database, and checks it. The server must not run.

  --replace          move a database that is there aside
  --config <folder>  folder of the configuration files (default: config)
  --help             show this, and exit
`;

/** `main restore`: one line about what came of it. */
export async function runRestore(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      replace: { type: 'boolean', default: false },
      config: { type: 'string', default: 'config' },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) return void process.stdout.write(USAGE);
  const [from, ...more] = positionals;
  if (from === undefined || more.length > 0) throw new Error('restore needs the name of one file: restore <file>');
  const to = findDatabaseFile(loadConfig({ configDir: values.config }).config);
  const report = await restoreDatabase({ from, to, replace: values.replace, now: new Date() });
  const aside = report.movedTo === null ? '' : `; what was there is now ${report.movedTo}`;
  process.stdout.write(`Restored and verified: ${report.tasks} tasks, ${report.events} events in ${to}${aside}\n`);
}
