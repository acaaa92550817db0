import { CompiledQuery } from 'kysely';
import type { Statement, StatementCache, Transaction } from '../engine.ts';
import { isOutage, UncertainCommitError } from '../outage.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { POSTGRES } from './postgres.ts';
import type { RowWriter } from './row-writer.ts';

const BEGIN = CompiledQuery.raw('BEGIN');
const ROLLBACK = CompiledQuery.raw('ROLLBACK');
/** Any number will do as long as it is ours alone. */
const HAND_OUT_LOCK = 8_017_002;
const LOCKS = {
  alone: CompiledQuery.raw(`SELECT pg_advisory_xact_lock(${HAND_OUT_LOCK})`),
  shared: CompiledQuery.raw(`SELECT pg_advisory_xact_lock_shared(${HAND_OUT_LOCK})`),
};

/** What all transactions of an engine share. */
export interface TransactionSurroundings {
  readonly statements: StatementCache;
  readonly rows: RowWriter;
  readonly readTime: (connection: PostgresConnection) => Promise<number>;
}

/**
 * Runs `work` between BEGIN and COMMIT. Statements whose answers nobody needs are sent and not waited for; the
 * commit goes out with the last of them.
 * @throws UncertainCommitError
 */
export async function transact<T>(
  connection: PostgresConnection,
  surroundings: TransactionSurroundings,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const sent: Promise<unknown>[] = [];
  let result: T;
  try {
    const begun = connection.executeQuery(BEGIN);
    const [now] = await Promise.all([surroundings.readTime(connection), begun]);
    result = await work(createTransaction({ connection, ...surroundings, sent, now }));
  } catch (error) {
    sent.push(connection.executeQuery(ROLLBACK));
    // What was sent without waiting has failed before what was waited for.
    throw (await firstFailure(sent)) ?? error;
  }
  sent.push(connection.commit());
  const failure = await firstFailure(sent);
  if (failure === null) return result;
  if (isOutage(failure)) throw new UncertainCommitError(failure);
  throw failure;
}

async function firstFailure(sent: readonly Promise<unknown>[]): Promise<Error | null> {
  for (const outcome of await Promise.allSettled(sent)) {
    if (outcome.status === 'fulfilled') continue;
    return outcome.reason instanceof Error ? outcome.reason : new Error(String(outcome.reason));
  }
  return null;
}

function createTransaction(context: {
  connection: PostgresConnection;
  statements: StatementCache;
  rows: RowWriter;
  sent: Promise<unknown>[];
  now: number;
}): Transaction {
  const { connection, statements, rows, sent, now } = context;
  const send = (query: CompiledQuery): void => {
    const answer = connection.all(query);
    answer.catch(() => undefined);
    sent.push(answer);
  };
  return {
    now,
    dialect: POSTGRES,
    kysely: connection.kysely,

    all: <Args extends readonly unknown[], R>(statement: Statement<Args, R>, args: Args) =>
      connection.all(statements.bind(statement, args)),

    async lockHandOut(mode) {
      send(LOCKS[mode]);
    },

    async insertTasks(columns, values) {
      if (values.length === 0) return [];
      await rows.prepare(connection);
      const keys = await connection.all(rows.insertTasks(columns, values));
      return keys.map(({ seq }) => seq);
    },

    async appendRows(table, values) {
      if (values.length === 0) return;
      await rows.prepare(connection);
      send(rows.append(table, values));
    },

    async updateTasks(values) {
      if (values.length === 0) return;
      await rows.prepare(connection);
      for (const query of rows.updateTasks(values)) send(query);
    },
  };
}
