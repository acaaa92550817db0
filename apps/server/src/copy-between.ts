import { copyDatabase, type CopyReport } from '@task-orchestrator/core';
import type { Config } from './config/config.ts';
import { parseDatabaseUrl } from './config/database-url.ts';
import { toDatabaseOptions } from './core-options.ts';
import { createProgressBar } from './progress-bar.ts';

/** `--copy`: progress goes to stderr, what came of it to stdout. */
export async function copyBetween(options: {
  from?: string | undefined;
  to?: string | undefined;
  config: Config;
}): Promise<void> {
  const { from, to, config } = options;
  if (from === undefined || to === undefined)
    throw new Error('--copy needs --from <database URL> and --to <database URL>');
  const report = await copyDatabase({
    from: toDatabaseOptions({ ...config.database, url: checkUrl('--from', from) }),
    to: toDatabaseOptions({ ...config.database, url: checkUrl('--to', to) }),
    onProgress: createProgressBar(process.stderr),
  });
  process.stdout.write(`Copied and verified: ${describeReport(report)}\n`);
}

function checkUrl(option: string, url: string): string {
  try {
    parseDatabaseUrl(url);
    return url;
  } catch (error) {
    throw new Error(String((error as Error).message).replace('database.url', option), { cause: error });
  }
}

function describeReport(report: CopyReport): string {
  return Object.entries(report)
    .map(([table, rows]) => `${rows} ${table}`)
    .join(', ');
}
