import { refuseSetting } from './config-error.ts';
import type { Config, ConfigKey } from './config.ts';
import { listValues } from './fields.ts';
import type { ConfigSources } from './fields.ts';
import { showValue } from './show-value.ts';

interface Rule {
  key: ConfigKey;
  other: ConfigKey;
  claim: string;
  holds: (config: Config) => boolean;
}

const rules: readonly Rule[] = [
  {
    key: 'database.min_connections',
    other: 'database.max_connections',
    claim: 'at most',
    holds: ({ database }) => database.min_connections <= database.max_connections,
  },
  {
    key: 'database.previous_encryption_keys',
    other: 'database.encryption_key',
    claim: 'only together with',
    holds: ({ database }) => database.previous_encryption_keys.length === 0 || database.encryption_key !== undefined,
  },
  {
    key: 'server.tls_cert',
    other: 'server.tls_key',
    claim: 'a certificate only together with',
    holds: ({ server }) => server.tls_cert === undefined || server.tls_key !== undefined,
  },
  {
    key: 'server.tls_key',
    other: 'server.tls_cert',
    claim: 'a private key only together with',
    holds: ({ server }) => server.tls_key === undefined || server.tls_cert !== undefined,
  },
];

/** Throws `ConfigError` for values that are fine alone and wrong together. */
export const checkContradictions = (config: Config, sources: ConfigSources): void => {
  const broken = rules.find((rule) => !rule.holds(config));
  if (!broken) return;
  const { key, other, claim } = broken;
  const values = new Map(listValues(config).map(({ field, value }) => [field.key, value]));
  const otherValue = values.get(other);
  const otherState = otherValue === undefined ? 'not set' : `${showValue(other, otherValue)}, from ${sources[other]}`;
  throw refuseSetting(
    { key, value: values.get(key), source: sources[key] },
    `allowed is ${claim} ${other} (${otherState})`,
  );
};
