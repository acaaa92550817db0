import { readFileSync } from 'node:fs';

import { parse, TomlError } from 'smol-toml';

import { ConfigError } from './config-error.ts';
import type { Setting } from './config-error.ts';
import { Config } from './config.ts';

/** The settings of one TOML file; none when the file does not exist. Throws `ConfigError` when it cannot be read. */
export const readSettingsFile = (path: string): Setting[] => {
  const toml = readIfPresent(path);
  return toml === undefined ? [] : listSettings(parseToml(toml, path), path);
};

/** Flattens tables into settings. What is not where a table belongs stays as it is, for the check to refuse. */
export const listSettings = (tables: object, source: string): Setting[] =>
  Object.entries(tables).flatMap(([section, table]: [string, unknown]) =>
    Object.hasOwn(Config.shape, section) && isTable(table)
      ? Object.entries(table).map(([name, value]) => ({ key: `${section}.${name}`, value, source }))
      : [{ key: section, value: table, source }],
  );

const isTable = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

const readIfPresent = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException; // node:fs throws nothing else
    if (code === 'ENOENT') return undefined;
    throw new ConfigError(`${path} cannot be read (${code}): allowed is a readable TOML file or none`);
  }
};

const parseToml = (toml: string, path: string): object => {
  try {
    return parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Neither the cause nor the rest of its message: they quote the lines around the mistake, secrets included.
    const [reason] = error.message.split('\n');
    throw new ConfigError(`${path} line ${error.line} column ${error.column}: ${reason}; allowed is TOML 1.0`);
  }
};
