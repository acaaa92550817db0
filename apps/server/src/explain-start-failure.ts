/** Why the server did not start, in one line: what, and what to do about it. */
export function explainStartFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  const place = path ?? 'the folder of database.url';
  if (code?.startsWith('SQLITE_IOERR')) {
    return `The database cannot be read or written: ${oneLine(error.message)} (${code}); is its disk full?`;
  }
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${address} is taken: choose another with server.port (APP_SERVER_PORT)`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `server.host ${address ?? ''} is no address of this machine`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return port === undefined
        ? `${place} cannot be written (${code})`
        : `Port ${port} needs rights this user has not`;
    case 'ENOENT':
    case 'ENOTDIR':
    case 'EEXIST':
      return `${place} cannot be opened (${code})`;
    case 'SQLITE_CANTOPEN':
    case 'SQLITE_READONLY':
    case 'SQLITE_NOTADB':
    case 'SQLITE_CORRUPT':
      return `The database cannot be opened: ${oneLine(error.message)} (${code})`;
    default:
      return oneLine(error.message);
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
