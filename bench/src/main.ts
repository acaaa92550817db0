import type { Bench } from './bench.ts';
import { HELP, readOptions, type Options } from './options.ts';
import { ensurePrerequisites } from './prerequisites.ts';
import { profileCases } from './profile/profile.ts';
import { formatReport } from './report/tables.ts';
import { ResultFile } from './results.ts';
import type { Scenario } from './scenario.ts';
import { measureDeepDrain, measureDrain } from './scenarios/drain.ts';
import { measureBulk, measureEnqueue } from './scenarios/enqueue.ts';
import { countFlushes } from './scenarios/flushes.ts';
import { measureHttp } from './scenarios/http.ts';
import { measureIdle } from './scenarios/idle.ts';
import { measureLimits } from './scenarios/limits.ts';
import { measurePickup } from './scenarios/pickup.ts';
import { measureRestart } from './scenarios/restart.ts';
import { SYSTEMS, type System } from './systems.ts';

const options = readOptionsOrExplain();
if (options) await main(options);
// Keep-alive connections to servers that are gone would hold the process.
process.exit();

async function main(options: Options): Promise<void> {
  if (options.profile) return profileCases(options, options.profile);
  const file = new ResultFile(options);
  if (!options.reportOnly) await measureAll(options, file);
  console.log(formatReport(file.results));
}

async function measureAll(options: Options, file: ResultFile): Promise<void> {
  const systems = SYSTEMS.filter(({ id }) => options.systems.includes(id));
  ensurePrerequisites(options, systems);
  const bench: Bench = { options, add: (system, name, values) => file.add({ system, case: name, values }) };

  async function attempt(system: string, name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      // The others are still worth measuring.
      file.add({ system, case: name, values: {}, error: error instanceof Error ? error.message : String(error) });
      process.exitCode = 1;
    }
  }
  async function forEach(letter: Scenario, measure: (bench: Bench, system: System) => Promise<void>): Promise<void> {
    if (!options.scenarios.includes(letter)) return;
    for (const system of systems.filter(({ scenarios }) => scenarios.includes(letter))) {
      await attempt(system.id, letter, () => measure(bench, system));
    }
  }

  await forEach('S', countFlushes);
  for (let round = 1; round <= options.rounds; round++) {
    if (options.scenarios.includes('L')) await attempt('limits', 'L', () => measureLimits(bench));
    await forEach('A', measureEnqueue);
    await forEach('B', measureBulk);
    await forEach('C', measureDrain);
    await forEach('D', measurePickup);
    await forEach('G', measureHttp);
    await forEach('H', measureIdle);
  }
  if (options.scenarios.includes('E')) {
    const deep = systems.filter(({ scenarios }) => scenarios.includes('E'));
    for (const rows of Map.groupBy(deep, ({ id, sharesBacklogOf = id }) => sharesBacklogOf).values()) {
      const [first, ...others] = rows;
      if (first) await attempt(first.id, 'E', () => measureDeepDrain(bench, [first, ...others]));
    }
  }
  await forEach('I', measureRestart);
}

function readOptionsOrExplain(): Options | null {
  try {
    const read = readOptions(process.argv.slice(2));
    if (!read) console.log(HELP);
    return read;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
    return null;
  }
}
