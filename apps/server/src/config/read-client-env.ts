import type { Env } from './read-env.ts';

/** Where a client finds its server, and with which key: the same names as for the SDK's examples. */
export const readClientEnv = (
  { TORC_URL, TORC_API_KEY }: Env = process.env,
): { url: string; apiKey: string | undefined } => ({
  url: TORC_URL ?? 'http://localhost:8080',
  apiKey: TORC_API_KEY,
});
