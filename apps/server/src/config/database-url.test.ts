import { expect, test } from 'vitest';

import { maskUrlPassword, parseDatabaseUrl } from './database-url.ts';

test.for([
  ['sqlite://./data/tasks.db', './data/tasks.db'],
  ['sqlite://data/tasks.db', 'data/tasks.db'],
  ['sqlite:///data/tasks.db', '/data/tasks.db'],
  ['sqlite:///with space/100%.db', '/with space/100%.db'],
  ['sqlite::memory:', ':memory:'],
] as const)('%s is the SQLite database %s', ([url, path]) => {
  expect(parseDatabaseUrl(url)).toEqual({ engine: 'sqlite', path });
});

test.for(['postgres://u:p@db:5432/tasks', 'postgresql://db/tasks', 'postgres:///tasks?host=/var/run/postgresql'])(
  '%s is a PostgreSQL database and keeps its URL',
  (url) => {
    expect(parseDatabaseUrl(url)).toEqual({ engine: 'postgres', url });
  },
);

test.for([
  '',
  'tasks.db',
  'sqlite:',
  'sqlite://',
  'sqlite:///',
  'sqlite:tasks.db',
  'sqlite:///data/tasks.db?mode=rwc',
  'postgres://',
  'postgres://db:port/tasks',
  'mysql://db/tasks',
])('"%s" is refused with the forms that are allowed', (url) => {
  expect(() => parseDatabaseUrl(url)).toThrow(/database\.url .* is none of sqlite:\/\/\.\/.*postgres:\/\//);
});

test.for([
  ['postgres://app:s3cret@db/tasks', 'postgres://app:***@db/tasks'],
  ['postgres://app:s3@cr:et/@db/tasks', 'postgres://app:***@db/tasks'],
  ['postgres://:s3cret@db/tasks', 'postgres://:***@db/tasks'],
  ['postgres://db/tasks?user=app&password=s3cret&ssl=1', 'postgres://db/tasks?user=app&password=***&ssl=1'],
  ['postgres:app:s3cret@db', 'postgres:app:***@db'],
  ['app:s3cret@db/tasks', 'app:***@db/tasks'],
  ['postgres://db:5432/tasks', 'postgres://db:5432/tasks'],
  ['sqlite://./data/tasks.db', 'sqlite://./data/tasks.db'],
] as const)('%s is shown as %s', ([url, shown]) => {
  expect(maskUrlPassword(url)).toBe(shown);
});
