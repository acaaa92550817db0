import type { Database } from '../db/schema.ts';

export type CopiedTable = Exclude<keyof Database, 'schema_migrations'>;

/**
 * Every table with the key whose order it is copied in, page by page; null: small, and copied as a whole. Tables come
 * after those that they refer to.
 */
export const COPIED_TABLES = {
  api_keys: null,
  encryption_keys: null,
  paths: null,
  workers: null,
  tasks: ['seq'],
  task_dependencies: ['depends_on_seq', 'task_seq'],
  task_logs: ['seq'],
  events: ['seq'],
} as const satisfies { [Table in CopiedTable]: readonly (keyof Database[Table])[] | null };

/** Tables whose rows get growing keys. */
export const KEYED_TABLES = ['tasks', 'task_logs', 'events'] as const;
