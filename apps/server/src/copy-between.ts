import { copyDatabase, type CopyProgress, type CopyReport } from '@task-orchestrator/core';
import type { Config } from './config/config.ts';
import { parseDatabaseUrl } from './config/database-url.ts';
import { toDatabaseOptions } from './core-options.ts';

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

const BAR_WIDTH = 30;

/** One line a table and step: drawn again and again on a terminal, written once it is done elsewhere. */
function createProgressBar(output: NodeJS.WriteStream): (progress: CopyProgress) => void {
  return ({ table, doing, done, total }) => {
    const share = total === 0 ? 1 : done / total;
    const isDone = done >= total;
    if (!output.isTTY) {
      if (isDone) output.write(`${doing} ${table}: ${done}\n`);
      return;
    }
    const bar = '#'.repeat(Math.round(share * BAR_WIDTH)).padEnd(BAR_WIDTH, '.');
    output.write(`\r${doing.padEnd(9)} ${table.padEnd(18)} [${bar}] ${done}/${total}${isDone ? '\n' : ''}`);
  };
}
