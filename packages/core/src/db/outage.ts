/**
 * Whether the database could not do its work for reasons outside the request: disk full, I/O error, locked, out of
 * reach. The caller may try again.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof UncertainCommitError) return true;
  const code = codeOf(error);
  if (code !== null) return SQLITE_OUTAGE.test(code) || POSTGRES_OUTAGE.test(code) || NETWORK_OUTAGE.test(code);
  return error instanceof Error && DRIVER_OUTAGE.test(error.message);
}

/** What an outage is about, for callers and operators: nothing of the inside but the code. */
export function describeOutage(error: unknown): string {
  const code = codeOf(error instanceof UncertainCommitError ? error.cause : error) ?? '';
  const [, problem] = PROBLEMS.find(([pattern]) => pattern.test(code)) ?? [];
  return problem === undefined ? 'the database cannot be reached' : `${problem} (${code})`;
}

const PROBLEMS = [
  [/^(SQLITE_FULL|53100|ENOSPC|EDQUOT)$/, 'the disk of the database is full'],
  [/^(SQLITE_IOERR|EIO)/, 'the disk of the database cannot be read or written'],
  [/^(SQLITE_READONLY.*|25006)$/, 'the database is read-only'],
  [/^SQLITE_(BUSY|LOCKED)/, 'the database is locked by another process'],
] as const;

/** The database was lost while it committed: it may have, or not. */
export class UncertainCommitError extends Error {
  constructor(cause: unknown) {
    super('the database was lost during a commit, which may have happened or not', { cause });
    this.name = 'UncertainCommitError';
  }
}

/** Whether nobody knows if the commit happened: it broke off, or its flush failed after all was written. */
export function isUncertain(error: unknown): boolean {
  return error instanceof UncertainCommitError || /^SQLITE_IOERR_(DIR_)?FSYNC$/.test(codeOf(error) ?? '');
}

/** Whether the transaction met another one half way, so that the same again may well go through. */
export function isConflict(error: unknown): boolean {
  const code = codeOf(error);
  if (code === null) return false;
  // Serialization failure, deadlock; and the same idempotency key created by two servers at once.
  return code === '40001' || code === '40P01' || (code === '23505' && constraintOf(error) === 'tasks_idempotency_key');
}

/** https://sqlite.org/rescode.html */
const SQLITE_OUTAGE = /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|NOMEM|PROTOCOL)/;

/**
 * Connection lost, standby is read-only, out of resources, cancelled by an operator, idle in transaction, shutting
 * down: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const POSTGRES_OUTAGE = /^(08...|25006|25P03|53...|55P03|57...|58...|XX000)$/;

const NETWORK_OUTAGE =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT)$/;

/** What the pg driver says without a code. */
const DRIVER_OUTAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Query read timeout)/;

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}

function constraintOf(error: unknown): unknown {
  return error instanceof Error && 'constraint' in error ? error.constraint : null;
}
