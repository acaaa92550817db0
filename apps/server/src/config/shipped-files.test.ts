import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { Config } from './config.ts';
import { fields, listValues } from './fields.ts';
import { loadConfig } from './load-config.ts';
import { readSettingsFile } from './read-file.ts';

const configDir = join(import.meta.dirname, '../../../../config');
const defaultFile = join(configDir, 'default.toml');

// `logging.format` has a default per environment: setting it in default.toml would override development's.
const isCommentedOut = ({ key, value }: { key: string; value: unknown }) =>
  value === undefined || key === 'logging.format';

const defaults = listValues(Config.parse({})).map(({ field, value }) => ({ key: field.key, name: field.name, value }));

test('default.toml sets every key that has a default, to that default', () => {
  const set = readSettingsFile(defaultFile).map(({ key }) => key);
  expect(set).toEqual(defaults.filter((setting) => !isCommentedOut(setting)).map(({ key }) => key));
  const tables = Object.groupBy(readSettingsFile(defaultFile), ({ key }) => key.split('.')[0] ?? '');
  const written = Object.entries(tables).map(([section, settings = []]) => [
    section,
    Object.fromEntries(settings.map(({ key, value }) => [key.slice(section.length + 1), value])),
  ]);
  expect(Config.parse(Object.fromEntries(written))).toEqual(Config.parse({}));
});

test('default.toml shows every key that has none, commented out', () => {
  const lines = readFileSync(defaultFile, 'utf8').split('\n');
  for (const { name } of defaults.filter(isCommentedOut)) {
    expect(
      lines.some((line) => line.startsWith(`# ${name} = `)),
      name,
    ).toBe(true);
  }
});

test('default.toml explains every key in the line above it', () => {
  const lines = readFileSync(defaultFile, 'utf8').split('\n');
  for (const { name } of fields.filter(({ name }) => name !== 'tls_key')) {
    const index = lines.findIndex((line) => line.replace(/^# /, '').startsWith(`${name} = `));
    expect(lines[index - 1], name).toMatch(/^# ./);
  }
});

test.for(['development', 'production', 'test'])('the shipped files start %s', (APP_ENV) => {
  expect(() => loadConfig({ configDir, env: { APP_ENV } })).not.toThrow();
});

test('the shipped test configuration leaves nothing on disk and takes no fixed port', () => {
  const { config } = loadConfig({ configDir, env: { APP_ENV: 'test' } });
  expect(config.database.url).toBe('sqlite::memory:');
  expect(config.server).toMatchObject({ host: '127.0.0.1', port: 0 });
});
