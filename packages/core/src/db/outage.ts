/**
 * Whether the database could not do its work for reasons outside the request: disk full, I/O error, locked,
 * connection lost. The caller may try again; nothing was changed.
 */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return false;
  return SQLITE_OUTAGE.test(error.code);
}

/** https://sqlite.org/rescode.html */
const SQLITE_OUTAGE = /^SQLITE_(FULL|IOERR|BUSY|LOCKED|READONLY|CANTOPEN|NOMEM|PROTOCOL)/;
