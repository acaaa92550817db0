import { readFileSync } from 'node:fs';

/** The version of this server, as its package says; the same path holds for sources and build. */
export const version: string = readVersion(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

function readVersion(packageJson: string): string {
  const { version } = JSON.parse(packageJson) as { version: string };
  return version;
}
