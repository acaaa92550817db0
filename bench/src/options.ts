import { parseArgs } from 'node:util';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { places } from './places.ts';
import { SCENARIOS, type Scenario } from './scenario.ts';
import { SYSTEMS } from './systems.ts';

export interface Options {
  readonly systems: readonly string[];
  readonly scenarios: readonly Scenario[];
  readonly rounds: number;
  /** Multiplies how many tasks are used and how long rates are measured. */
  readonly scale: number;
  readonly out: string;
  /** Forget the rounds that `out` holds already. */
  readonly isFresh: boolean;
  /** Parent of the data directories: the disk that is measured. */
  readonly dir: string;
  readonly isPinned: boolean;
  /** Run our server and SDK from their sources instead of their builds. */
  readonly fromSource: boolean;
  /** Profile our server in these cases instead of measuring. */
  readonly profile: readonly string[] | null;
  readonly reportOnly: boolean;
}

export const HELP = `pnpm bench [flags]
  --systems a,b      rows: ${SYSTEMS.map(({ id }) => id).join(', ')}
  --scenarios A,C    ${Object.keys(SCENARIOS).join(', ')}; F (memory) is part of each
${Object.entries(SCENARIOS)
  .map(([letter, text]) => `                       ${letter}  ${text}`)
  .join('\n')}
  --rounds 3         rounds, interleaved over the systems
  --scale 1          0.02 = a fiftieth of the tasks: for trying out, not for figures
  --out file         JSON of all rounds (default: bench/results.json); new rounds are added to it
  --fresh            forget what the file holds
  --dir folder       where the stores live while they are measured (default: the system's temp folder)
  --no-pin           do not pin servers to core 0 and load to core 1
  --source           our server and SDK from their sources instead of their builds
  --report           print the tables of --out and stop
  --profile a,b      CPU profile of our server in: G-create, G-life-cycle, G-trpc, G-trpc-batch, A, B, C, D`;

export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      systems: { type: 'string' },
      scenarios: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      scale: { type: 'string', default: '1' },
      out: { type: 'string', default: places.results },
      fresh: { type: 'boolean', default: false },
      dir: { type: 'string', default: tmpdir() },
      'no-pin': { type: 'boolean', default: false },
      source: { type: 'boolean', default: false },
      profile: { type: 'string' },
      report: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  return {
    systems: readList(
      'systems',
      values.systems,
      SYSTEMS.map(({ id }) => id),
    ),
    // The names of a record are the scenarios, and `readList` lets nothing else through.
    scenarios: readList('scenarios', values.scenarios, Object.keys(SCENARIOS)) as Scenario[],
    rounds: readPositive('rounds', values.rounds),
    scale: readPositive('scale', values.scale),
    out: resolve(values.out),
    isFresh: values.fresh,
    dir: resolve(values.dir),
    isPinned: !values['no-pin'],
    fromSource: values.source,
    profile: values.profile?.split(',') ?? null,
    reportOnly: values.report,
  };
}

function readList(name: string, given: string | undefined, all: readonly string[]): readonly string[] {
  if (given === undefined) return all;
  const wanted = given.split(',');
  const unknown = wanted.find((one) => !all.includes(one));
  if (unknown !== undefined) throw new Error(`--${name}: there is no ${unknown}; there are ${all.join(', ')}`);
  return wanted;
}

function readPositive(name: string, given: string): number {
  const value = Number(given);
  if (!(value > 0)) throw new Error(`--${name} is ${given}; it must be a number above 0`);
  return value;
}
