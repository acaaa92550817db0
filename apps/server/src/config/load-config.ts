import { join } from 'node:path';

import { checkContradictions } from './check-contradictions.ts';
import { checkSetting } from './check-setting.ts';
import type { Setting } from './config-error.ts';
import { Config } from './config.ts';
import type { ConfigInput, EnvironmentName } from './config.ts';
import { fields } from './fields.ts';
import type { ConfigSources } from './fields.ts';
import { readEnvironmentName, readEnvSettings, readOtelSettings } from './read-env.ts';
import type { Env } from './read-env.ts';
import { listSettings, readSettingsFile } from './read-file.ts';

export interface LoadedConfig {
  environment: EnvironmentName;
  config: Config;
  sources: ConfigSources;
}

export interface LoadConfigOptions {
  /** Folder of `default.toml`, `{APP_ENV}.toml` and `local.toml`; files that are absent are skipped. */
  configDir?: string;
  env?: Env;
  /** Values that win over every layer, such as command line flags. `undefined` counts as not given. */
  overrides?: ConfigInput;
}

/**
 * Reads the configuration; later layers win: built-in defaults, `default.toml`, `{APP_ENV}.toml`, `local.toml`,
 * environment (`OTEL_*`, then `APP_<SECTION>_<KEY>`), overrides. Throws `ConfigError` for an unknown key, a bad value or a contradiction.
 */
export const loadConfig = ({
  configDir = 'config',
  env = process.env,
  overrides = {},
}: LoadConfigOptions = {}): LoadedConfig => {
  const environment = readEnvironmentName(env);
  const settings = [
    ...listDefaults(environment),
    ...['default', environment, 'local'].flatMap((name) => readSettingsFile(join(configDir, `${name}.toml`))),
    ...readOtelSettings(env),
    ...readEnvSettings(env),
    ...listSettings(overrides, 'start option').filter(({ value }) => value !== undefined),
  ];
  settings.forEach(checkSetting);

  const effective = new Map(settings.map((setting) => [setting.key, setting]));
  const config = Config.parse(toTables(effective));
  const sources = toSources(effective);
  checkContradictions(config, sources);
  return { environment, config, sources };
};

/** Defaults that depend on APP_ENV; the schema holds the others. */
const listDefaults = (environment: EnvironmentName): Setting[] =>
  environment === 'development'
    ? [{ key: 'logging.format', value: 'pretty', source: 'built-in default for development' }]
    : [];

const toTables = (effective: ReadonlyMap<string, Setting>): object =>
  Object.fromEntries(
    Object.keys(Config.shape).map((section) => [
      section,
      Object.fromEntries(
        fields
          .filter((field) => field.section === section && effective.has(field.key))
          .map((field) => [field.name, effective.get(field.key)?.value]),
      ),
    ]),
  );

const toSources = (effective: ReadonlyMap<string, Setting>): ConfigSources =>
  Object.fromEntries(fields.map(({ key }) => [key, effective.get(key)?.source ?? 'built-in default'])) as ConfigSources; // `fields` holds every key
