import { sourceFlags, type Bench } from '../bench.ts';
import { places } from '../places.ts';
import { databaseFile } from '../servers/ours.ts';
import type { FillConfig } from './fill-store.ts';
import { startLoad } from './start-load.ts';

/** Builds a backlog of ours, which is not measured: through the core, in big batches, while no server runs. */
export async function fillStore(bench: Bench, dir: string, counts: Omit<FillConfig, 'file'>): Promise<void> {
  const config: FillConfig = { file: databaseFile(dir), ...counts };
  const command = [process.execPath, ...sourceFlags(bench), places.fill, JSON.stringify(config)];
  await startLoad({ command, limitMs: 900_000 }).next();
}
