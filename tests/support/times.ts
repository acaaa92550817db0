/** The share of the values that is not above the answer; of none, NaN. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

/** `median 12 ms, p95 30 ms, worst 31 ms (of 20)` */
export function describeTimes(milliseconds: readonly number[]): string {
  if (milliseconds.length === 0) return 'none';
  const of = (share: number) => `${Math.round(quantile(milliseconds, share))} ms`;
  return `median ${of(0.5)}, p95 ${of(0.95)}, worst ${of(1)} (of ${milliseconds.length})`;
}
