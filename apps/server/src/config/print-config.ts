import type { LoadedConfig } from './load-config.ts';
import { listValues } from './fields.ts';
import { showValue } from './show-value.ts';

/** Writes every effective value and where it came from, one per line, secrets masked (`--print-config`). */
export const printConfig = (loaded: LoadedConfig, write: (text: string) => void = writeToStdout): void => {
  write(`# APP_ENV = ${loaded.environment}\n`);
  for (const { field, value } of listValues(loaded.config)) {
    const shown = value === undefined ? '(not set)' : showValue(field.key, value);
    write(`${field.key} = ${shown}  # ${loaded.sources[field.key]}\n`);
  }
};

const writeToStdout = (text: string): void => {
  process.stdout.write(text);
};
