import { ConfigError } from './config-error.ts';
import type { Setting } from './config-error.ts';
import { EnvironmentName, type ConfigKey } from './config.ts';
import { fields } from './fields.ts';
import type { Field } from './fields.ts';

/** Environment variables; only those that begin with `APP_` are looked at, and a few that all of OpenTelemetry shares. */
export type Env = Readonly<Record<string, string | undefined>>;

const fieldsByEnvName = new Map(fields.map((field) => [field.envName, field]));

/** `APP_ENV`, or development. */
export const readEnvironmentName = ({ APP_ENV: name = 'development' }: Env): EnvironmentName => {
  const parsed = EnvironmentName.safeParse(name);
  if (parsed.success) return parsed.data;
  const allowed = EnvironmentName.options.join(', ');
  throw new ConfigError(`APP_ENV = ${JSON.stringify(name)} (from the environment): allowed is one of ${allowed}`);
};

/**
 * The settings of `APP_<SECTION>_<KEY>`, turned into what their type expects. An empty variable is a value like any
 * other: taking it as absent would quietly run without, say, the encryption key that a deployment meant to pass.
 */
export const readEnvSettings = (env: Env): Setting[] =>
  Object.entries(env).flatMap(([name, value]) => {
    if (value === undefined || !name.startsWith('APP_') || name === 'APP_ENV') return [];
    const field = fieldsByEnvName.get(name);
    return [{ key: field?.key ?? name, value: field ? coerce(value, field) : value, source: toSource(name) }];
  });

/** https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ */
const OTEL_KEYS = {
  OTEL_EXPORTER_OTLP_ENDPOINT: 'tracing.endpoint',
  OTEL_SERVICE_NAME: 'tracing.service_name',
} as const satisfies Record<string, ConfigKey>;

/** What a deployment tells all its programs; there an empty variable counts as absent. */
export const readOtelSettings = (env: Env): Setting[] => {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return [];
  return Object.entries(OTEL_KEYS).flatMap(([name, key]) => {
    const value = env[name];
    return value === undefined || value === '' ? [] : [{ key, value, source: toSource(name) }];
  });
};

export const toSource = (envName: string): string => `environment variable ${envName}`;

/** Text that does not fit is left as it is, so that the refusal quotes what was written. */
const coerce = (value: string, { schema }: Field): unknown => {
  const { type } = schema.def;
  if (type === 'number') return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
  if (type === 'boolean') return flagNames.get(value) ?? value;
  if (type === 'array') return value === '' ? [] : value.split(',').map((item) => item.trim());
  return value;
};

const flagNames = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);
