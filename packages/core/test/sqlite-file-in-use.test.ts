import { expect, test } from 'vitest';
import { aTask } from './builders.ts';
import { ALL_ENGINES } from './engines.ts';

test('a database file in use is refused by name, and is free after the end', async () => {
  const place = await ALL_ENGINES['SQLite file'].createPlace!();
  const first = await place.open();
  await expect(place.open()).rejects.toThrow(/is in use by another server/);
  await first.core.createTask(aTask());
  await first.close();
  await place.open();
});
