import type { Results } from '../results.ts';

/** Median, least and greatest of the rounds. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** `get(system, case, value)`; null when it was not measured. */
export type Get = (system: string, name: string, value: string) => Summary | null;

export function summarize({ measurements }: Results): Get {
  return (system, name, value) => {
    const rounds = measurements
      .filter((one) => one.system === system && one.case === name)
      .map(({ values }) => values[value])
      // NaN becomes null in JSON.
      .filter((one): one is number => Number.isFinite(one))
      .toSorted((a, b) => a - b);
    const [min] = rounds;
    const max = rounds.at(-1);
    if (min === undefined || max === undefined) return null;
    return { median: medianOf(rounds), min, max };
  };
}

function medianOf(sorted: readonly number[]): number {
  const at = sorted.length / 2;
  const [low = NaN, high = NaN] = [sorted[Math.ceil(at) - 1], sorted[Math.floor(at)]];
  return (low + high) / 2;
}

export function formatSummary(summary: Summary | null): string {
  if (!summary) return '–';
  const { median, min, max } = summary;
  return min === max
    ? `**${formatNumber(median)}**`
    : `**${formatNumber(median)}** (${formatNumber(min)}–${formatNumber(max)})`;
}

export function formatNumber(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(value >= 10 ? 1 : 2);
}
