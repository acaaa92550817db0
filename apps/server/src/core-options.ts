import type { CoreObserver, CoreOptions, CoreTracer } from '@task-orchestrator/core';
import { ConfigError } from './config/config-error.ts';
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

export function toDatabaseOptions(database: Config['database']): CoreOptions['database'] {
  if (database.encryption_key !== undefined) {
    throw new ConfigError('database.encryption_key is set, but this version does not encrypt; remove it');
  }
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
