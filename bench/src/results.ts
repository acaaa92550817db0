import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { Options } from './options.ts';

export type Values = Readonly<Record<string, number>>;

/** One round of one scenario on one system; `case` names the part of the scenario: `E 1M`, `G create`. */
export interface Measurement {
  readonly system: string;
  readonly case: string;
  readonly at: string;
  readonly values: Values;
  readonly error?: string;
}

export interface Results {
  machine: string;
  settings: { scale: number; pinned: boolean; source: boolean };
  measurements: Measurement[];
}

/** The rounds so far: written after each measurement, so that an end in the middle loses nothing. */
export class ResultFile {
  readonly #path: string;
  readonly results: Results;

  constructor(options: Options) {
    this.#path = options.out;
    const settings = { scale: options.scale, pinned: options.isPinned, source: options.fromSource };
    const old = options.isFresh ? null : readResults(options.out);
    if (old && !options.reportOnly && JSON.stringify(old.settings) !== JSON.stringify(settings)) {
      throw new Error(
        `${options.out} holds rounds with other settings (${JSON.stringify(old.settings)}); --fresh forgets them`,
      );
    }
    this.results = old ?? { machine: describeMachine(), settings, measurements: [] };
  }

  add(measurement: Omit<Measurement, 'at'>): void {
    const at = new Date().toISOString();
    this.results.measurements.push({ ...measurement, at });
    writeFileSync(this.#path, `${JSON.stringify(this.results, null, 1)}\n`);
    const { system, case: name, values, error } = measurement;
    console.error(`${at.slice(11, 19)} ${system} ${name} ${error ?? JSON.stringify(values, shorten)}`);
  }
}

function readResults(path: string): Results | null {
  // Written by this class only.
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Results) : null;
}

function shorten(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 100) / 100 : value;
}

function describeMachine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${memory} GiB, Linux ${release()}, Node ${process.versions.node}`;
}
