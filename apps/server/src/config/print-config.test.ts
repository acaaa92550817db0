import { join } from 'node:path';

import { expect, test } from 'vitest';

import { fields } from './fields.ts';
import { loadConfig } from './load-config.ts';
import type { LoadConfigOptions } from './load-config.ts';
import { printConfig } from './print-config.ts';

const withoutFiles = join(import.meta.dirname, 'absent');

const print = (options: LoadConfigOptions): string[] => {
  const written: string[] = [];
  printConfig(loadConfig({ configDir: withoutFiles, env: {}, ...options }), (text) => written.push(text));
  return written.join('').trimEnd().split('\n');
};

test('every key is printed once with its value and its source', () => {
  const lines = print({
    overrides: { server: { body_limit: '1MiB' } },
    env: { APP_SERVER_PORT: '9090', APP_SECURITY_CORS_ORIGINS: '*' },
  });
  expect(lines[0]).toBe('# APP_ENV = development');
  expect(lines.slice(1).map((line) => line.split(' = ')[0])).toEqual(fields.map(({ key }) => key));
  expect(lines).toContain('server.host = "0.0.0.0"  # built-in default');
  expect(lines).toContain('server.port = 9090  # environment variable APP_SERVER_PORT');
  expect(lines).toContain('server.body_limit = 1048576  # start option');
  expect(lines).toContain('server.tls_cert = (not set)  # built-in default');
  expect(lines).toContain('security.cors_origins = ["*"]  # environment variable APP_SECURITY_CORS_ORIGINS');
  expect(lines).toContain('logging.format = "pretty"  # built-in default for development');
});

const KEY = Buffer.alloc(32).toString('base64');

test('no secret is printed', () => {
  const lines = print({
    env: {
      APP_SECURITY_ADMIN_KEY: 'hunter2-hunter2-hunter2',
      APP_DATABASE_ENCRYPTION_KEY: KEY,
      APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: `${KEY},${KEY}`,
      APP_DATABASE_URL: 'postgres://app:hunter2@db/tasks',
    },
  });
  expect(lines.join('\n')).not.toMatch(/hunter2|AAAA/);
  expect(lines).toContain('security.admin_key = "***"  # environment variable APP_SECURITY_ADMIN_KEY');
  expect(lines).toContain('database.encryption_key = "***"  # environment variable APP_DATABASE_ENCRYPTION_KEY');
  expect(lines).toContain(
    'database.previous_encryption_keys = ["***", "***"]  # environment variable APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS',
  );
  expect(lines).toContain('database.url = "postgres://app:***@db/tasks"  # environment variable APP_DATABASE_URL');
});

test('a secret that is not set is told apart from one that is', () => {
  expect(print({})).toContain('security.admin_key = (not set)  # built-in default');
  expect(print({})).toContain('database.previous_encryption_keys = []  # built-in default');
});
