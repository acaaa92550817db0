import type { CoreObserver, CoreOptions, CoreTracer, EncryptionKeys } from '@task-orchestrator/core';
import type { Config } from './config/config.ts';
import { parseDatabaseUrl } from './config/database-url.ts';

/** The configuration in the core's words. */
export function toCoreOptions(
  { database, task }: Config,
  observer: CoreObserver = {},
  tracer?: CoreTracer,
): CoreOptions {
  return {
    database: toDatabaseOptions(database),
    encryption: toEncryptionKeys(database),
    task: {
      defaultTimeoutSeconds: task.default_task_timeout,
      defaultLeaseSeconds: task.default_lease_seconds,
      maxTaskRetries: task.max_task_retries,
      maxConcurrentTasks: task.max_concurrent_tasks,
      priorityAgeingSeconds: task.priority_ageing_seconds,
      requireLeaseToken: task.require_lease_token,
      retentionDays: task.retention_days,
      cleanupIntervalSeconds: task.task_cleanup_interval,
      maxLogBytes: task.max_log_bytes,
    },
    observer,
    tracer,
  };
}

export function toEncryptionKeys(database: Config['database']): EncryptionKeys {
  const { encryption_key: current, previous_encryption_keys: previous } = database;
  return { current: current === undefined ? null : toBytes(current), previous: previous.map(toBytes) };
}

function toBytes(key: string): Uint8Array {
  return Buffer.from(key, 'base64');
}

export function toDatabaseOptions(database: Config['database']): CoreOptions['database'] {
  const target = parseDatabaseUrl(database.url);
  switch (target.engine) {
    case 'sqlite':
      return {
        engine: 'sqlite',
        path: target.path,
        durability: database.durability,
        enableWalMode: database.enable_wal_mode,
        busyTimeoutSeconds: database.busy_timeout,
      };
    case 'postgres':
      return {
        engine: 'postgres',
        url: target.url,
        durability: database.durability,
        maxConnections: database.max_connections,
        minConnections: database.min_connections,
        connectionTimeoutSeconds: database.connection_timeout,
        idleTimeoutSeconds: database.idle_timeout,
      };
  }
}
