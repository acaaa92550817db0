import * as z from 'zod';

import {
  addressList,
  byteSize,
  choice,
  choiceInAnyCase,
  databaseUrl,
  encryptionKey,
  encryptionKeyList,
  flag,
  hostList,
  httpUrl,
  originList,
  ratio,
  secret,
  text,
  wholeNumber,
} from './setting-types.ts';

const hour = 3_600;
const day = 86_400;
const week = 604_800;

/** Pool sizes are for PostgreSQL, `busy_timeout` for SQLite; every time is in seconds. */
export const DatabaseConfig = z.object({
  url: databaseUrl().default('sqlite://./data/tasks.db'),
  max_connections: wholeNumber(1, 10_000).default(100),
  min_connections: wholeNumber(0, 10_000).default(10),
  connection_timeout: wholeNumber(1, hour).default(30),
  idle_timeout: wholeNumber(0, day).default(600),
  busy_timeout: wholeNumber(0, hour).default(30),
  enable_wal_mode: flag().default(true),
  durability: choice(['full', 'normal']).default('full'),
  encryption_key: encryptionKey().optional(),
  previous_encryption_keys: encryptionKeyList().default([]),
});
export type DatabaseConfig = z.infer<typeof DatabaseConfig>;

/** `timeout` is in seconds, for what a client does: hand in its request, take its answer; `body_limit` in bytes, `port` 0 asks for any free port. */
export const ServerConfig = z.object({
  host: text('a host name or address').default('0.0.0.0'),
  port: wholeNumber(0, 65_535).default(8080),
  timeout: wholeNumber(1, hour).default(30),
  body_limit: byteSize().default(2 * 2 ** 20),
  max_connections: wholeNumber(1, 1_000_000).default(10_000),
  tls_cert: text('the path of a PEM file').optional(),
  tls_key: text('the path of a PEM file').optional(),
});
export type ServerConfig = z.infer<typeof ServerConfig>;

/**
 * Times are in seconds unless the name says otherwise, `max_log_bytes` is per task, 0 means no limit for
 * `max_concurrent_tasks` and never for `priority_ageing_seconds` (seconds after which a waiting task takes every second turn from higher priorities).
 */
export const TaskConfig = z.object({
  max_concurrent_tasks: wholeNumber(0, 1_000_000).default(100),
  default_task_timeout: wholeNumber(1, week).default(3600),
  default_lease_seconds: wholeNumber(1, day).default(30),
  max_task_retries: wholeNumber(0, 999).default(3),
  task_cleanup_interval: wholeNumber(1, week).default(3600),
  retention_days: wholeNumber(1, 36_500).default(30),
  require_lease_token: flag().default(false),
  priority_ageing_seconds: wholeNumber(0, 365 * day).default(14_400),
  max_log_bytes: byteSize().default(2 ** 20),
});
export type TaskConfig = z.infer<typeof TaskConfig>;

/** `format` has a second default: `pretty` when APP_ENV is development. */
export const LoggingConfig = z.object({
  level: choiceInAnyCase(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  format: choice(['json', 'pretty']).default('json'),
  file: text('the path of a file').optional(),
});
export type LoggingConfig = z.infer<typeof LoggingConfig>;

/** `rate_limit_requests_per_minute` is per key, `rate_limit_unauthenticated_per_minute` per address; 0 switches each off. */
export const SecurityConfig = z.object({
  enable_auth: flag().default(true),
  admin_key: secret(16).optional(),
  rate_limit_requests_per_minute: wholeNumber(0, 10_000_000).default(1000),
  rate_limit_unauthenticated_per_minute: wholeNumber(0, 10_000_000).default(120),
  trusted_proxies: addressList().default([]),
  cors_origins: originList().default([]),
  allowed_hosts: hostList().default([]),
  metrics_require_key: flag().default(false),
});
export type SecurityConfig = z.infer<typeof SecurityConfig>;

/** Spans go to `endpoint`, the base URL of an OTLP collector; without one there is no tracing. */
export const TracingConfig = z.object({
  endpoint: httpUrl().optional(),
  sample_ratio: ratio().default(1),
  service_name: text('a name').default('task-orchestrator'),
});
export type TracingConfig = z.infer<typeof TracingConfig>;

/** The whole configuration, defaults included: `Config.parse({})` is the built-in one. */
export const Config = z.object({
  database: DatabaseConfig.prefault({}),
  server: ServerConfig.prefault({}),
  task: TaskConfig.prefault({}),
  logging: LoggingConfig.prefault({}),
  security: SecurityConfig.prefault({}),
  tracing: TracingConfig.prefault({}),
});
export type Config = z.infer<typeof Config>;

/** Some keys of some sections, as a caller may write them. */
export type ConfigInput = z.input<typeof Config>;

export type SectionName = keyof Config;

/** `section.key`, as messages and `--print-config` name it. */
export type ConfigKey = {
  [Section in SectionName]: `${Section}.${Extract<keyof Config[Section], string>}`;
}[SectionName];

export const EnvironmentName = z.enum(['development', 'production', 'test']);
export type EnvironmentName = z.infer<typeof EnvironmentName>;
