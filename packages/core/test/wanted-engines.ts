const ENGINE_NAMES = ['SQLite file', 'SQLite memory', 'Encrypted SQLite memory', 'PostgreSQL'] as const;

export type EngineName = (typeof ENGINE_NAMES)[number];

/** Every engine, unless `TEST_ENGINES=sqlite` or `postgres` narrows the run. */
export function wantedEngines(): EngineName[] {
  const wanted = process.env['TEST_ENGINES']?.toLowerCase() ?? '';
  const names = ENGINE_NAMES.filter((name) => name.toLowerCase().includes(wanted));
  if (names.length === 0) throw new Error(`TEST_ENGINES=${wanted} is in none of ${ENGINE_NAMES.join(', ')}`);
  return names;
}
