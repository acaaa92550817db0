import { openCore, type Core, type CoreOptions } from '@task-orchestrator/core';
import { onTestFinished } from 'vitest';
import { POLICY } from '../engines.ts';
import { takeTestDatabase } from '../test-database.ts';

export interface Replica {
  readonly core: Core;
  /** What it reported instead of failing. */
  readonly errors: unknown[];
  readonly database: CoreOptions['database'];
  close(): Promise<void>;
}

interface ReplicaOptions {
  task?: Partial<CoreOptions['task']>;
  encryption?: CoreOptions['encryption'];
  database?: { maxConnections?: number; connectionTimeoutSeconds?: number };
  background?: boolean;
}

/** A core as a server has it, with the clock of the database; closed when the test ends. */
export async function openReplica(
  url: string,
  { task, encryption, database: more, background = true }: ReplicaOptions = {},
): Promise<Replica> {
  const errors: unknown[] = [];
  const database: CoreOptions['database'] = {
    engine: 'postgres',
    url,
    durability: 'full',
    maxConnections: 10,
    minConnections: 0,
    connectionTimeoutSeconds: 5,
    idleTimeoutSeconds: 60,
    ...more,
  };
  const core = await openCore({
    database,
    encryption,
    task: { ...POLICY, ...task },
    observer: { onError: (error) => void errors.push(error) },
    background,
  });
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= core.close());
  onTestFinished(close);
  return { core, errors, database, close };
}

/** Several on one empty database. */
export async function openReplicas(
  count: number,
  options: ReplicaOptions = {},
): Promise<{ url: string; cores: Core[] }> {
  const url = await takeTestDatabase();
  const replicas = await Promise.all(Array.from({ length: count }, () => openReplica(url, options)));
  return { url, cores: replicas.map(({ core }) => core) };
}

/** Looks until the condition answers something true, and hands that on. @throws after `withinMs`. */
export async function until<Value>(
  what: string,
  condition: () => Value | Promise<Value>,
  withinMs = 8_000,
): Promise<NonNullable<Value>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
