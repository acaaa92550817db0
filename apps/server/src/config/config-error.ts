import { isSecretKey, showValue } from './show-value.ts';

/** A configuration that the server refuses to start with. The message is one line and holds no secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(message: string) {
    super(message.replace(/\s+/g, ' '));
  }
}

/**
 * The refusal of one value: key, value, where it came from and the claim that it breaks. `meantKey` is the known key
 * that a misspelt one stands for; the value is masked as that key's would be.
 */
export const refuseSetting = ({ key, value, source }: Setting, claim: string, meantKey: string = key): ConfigError => {
  const shown = showValue(isSecretKey(meantKey) ? meantKey : key, value);
  return new ConfigError(`${key} = ${shown} (from ${source}): ${claim}`);
};

/** One value as a layer gave it. `key` is `section.key`, `source` the file or environment variable. */
export interface Setting {
  key: string;
  value: unknown;
  source: string;
}
