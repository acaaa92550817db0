/** Where the data lives: a SQLite file (path as written, relative to the working directory) or a PostgreSQL server. */
export type DatabaseTarget = { engine: 'sqlite'; path: string } | { engine: 'postgres'; url: string };

export const databaseUrlForms =
  'sqlite://./relative/path.db, sqlite:///absolute/path.db, sqlite::memory: or postgres://user:password@host:port/name';

/**
 * Splits a `database.url` into engine and place. After `sqlite://` everything is the path, with no percent-decoding;
 * `sqlite::memory:` gives the path `:memory:`. Throws an error that hides the password when the form is unknown.
 */
export const parseDatabaseUrl = (url: string): DatabaseTarget => {
  const target = findDatabaseTarget(url);
  if (!target) throw new Error(`database.url ${JSON.stringify(maskUrlPassword(url))} is none of ${databaseUrlForms}`);
  return target;
};

export const isDatabaseUrl = (url: string): boolean => findDatabaseTarget(url) !== undefined;

/**
 * Hides the password of a URL. It works on text and not on a parsed URL, because a malformed URL has to be shown too;
 * when in doubt it hides more.
 */
export const maskUrlPassword = (text: string): string =>
  text.replace(/^([a-z0-9+.-]+:(?:\/\/)?)?([^:@]*:).*@/is, '$1$2***@').replace(/([?&][^=&]*password=)[^&]*/gi, '$1***');

const findDatabaseTarget = (url: string): DatabaseTarget | undefined => {
  if (url === 'sqlite::memory:') return { engine: 'sqlite', path: ':memory:' };
  // Options such as `?mode=rwc` are refused: they would silently become part of the file name.
  const path = /^sqlite:\/\/([^?]*[^?/])$/.exec(url)?.[1];
  if (path !== undefined) return { engine: 'sqlite', path };
  return /^postgres(ql)?:\/\/./.test(url) && URL.canParse(url) ? { engine: 'postgres', url } : undefined;
};
