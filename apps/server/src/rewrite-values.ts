import { reencryptDatabase, type EncryptionKeys } from '@task-orchestrator/core';
import { ConfigError } from './config/config-error.ts';
import type { Config } from './config/config.ts';
import { toDatabaseOptions, toEncryptionKeys } from './core-options.ts';
import { createProgressBar } from './progress-bar.ts';

/** `--reencrypt` and `--decrypt`: progress goes to stderr, what came of it to stdout. */
export async function rewriteValues({ database }: Config, { toPlainText }: { toPlainText: boolean }): Promise<void> {
  const { current, previous } = toEncryptionKeys(database);
  if (current === null) {
    throw new ConfigError(
      `${toPlainText ? '--decrypt' : '--reencrypt'} needs database.encryption_key (APP_DATABASE_ENCRYPTION_KEY)`,
    );
  }
  const encryption: EncryptionKeys = toPlainText
    ? { current: null, previous: [current, ...previous] }
    : { current, previous };
  const drawProgress = createProgressBar(process.stderr);
  const { keyId, rows } = await reencryptDatabase({
    database: toDatabaseOptions(database),
    encryption,
    onProgress: (progress) => drawProgress({ ...progress, doing: toPlainText ? 'decrypting' : 'encrypting' }),
  });
  const state = keyId === null ? 'plain text' : `encrypted under key ${keyId}`;
  process.stdout.write(`Everything is ${state}; written anew: ${rows.tasks} tasks, ${rows.task_logs} task_logs\n`);
}
