// The measured process: main.ts '<json config>', on Node or Bun. Prints each result as one line that starts with @@.
import { setTimeout as sleep } from 'node:timers/promises';
import { aPayload, somePayloads, type Queue } from './queue.ts';

export type LoadAction =
  | {
      readonly action: 'enqueue';
      readonly count: number;
      readonly maxMs: number;
      readonly callers: number;
      readonly batch: number;
    }
  | { readonly action: 'fill'; readonly count: number }
  | { readonly action: 'drain'; readonly count: number; readonly maxMs: number; readonly isWhole: boolean }
  | { readonly action: 'pickup'; readonly warmUp: number; readonly count: number; readonly everyMs: number }
  | { readonly action: 'acknowledge'; readonly count: number };

export interface LoadConfig {
  /** Module URL of the adapter; its `open` takes `settings`. */
  readonly adapter: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly work: LoadAction;
}

export type LoadResult = Readonly<Record<string, number>>;

const CONCURRENCY = 64;
const FILL_BATCH = 500;

if (import.meta.main) {
  const config = JSON.parse(process.argv[2] ?? '{}') as LoadConfig;
  const { open } = (await import(config.adapter)) as { open: (settings: unknown) => Promise<Queue> | Queue };
  const queue = await open({ ...config.settings, scenario: config.work.action });
  await run(queue, config.work);
  process.exit(0);
}

async function run(queue: Queue, work: LoadAction): Promise<void> {
  switch (work.action) {
    case 'enqueue':
      return print(await enqueue(queue, work));
    case 'fill':
      return print(await fill(queue, work.count));
    case 'drain':
      return print(await drain(queue, work));
    case 'pickup':
      return print(await measurePickup(queue, work));
    case 'acknowledge':
      return acknowledge(queue, work.count);
  }
}

async function enqueue(
  queue: Queue,
  options: { count: number; maxMs: number; callers: number; batch: number },
): Promise<LoadResult> {
  const { count, maxMs, callers, batch } = options;
  const startedAt = performance.now();
  let next = 0;
  let acknowledged = 0;
  async function call(): Promise<void> {
    while (next < count && performance.now() - startedAt < maxMs) {
      const from = next;
      next += batch;
      if (batch === 1) await queue.add(aPayload(from));
      else await queue.addMany(somePayloads(from, batch));
      acknowledged += batch;
    }
  }
  await Promise.all(Array.from({ length: callers }, call));
  return { per_second: perSecond(acknowledged, performance.now() - startedAt), count: acknowledged };
}

async function fill(queue: Queue, count: number): Promise<LoadResult> {
  const startedAt = performance.now();
  for (let from = 0; from < count; from += FILL_BATCH) {
    const payloads = somePayloads(from, Math.min(FILL_BATCH, count - from));
    await (queue.fill ? queue.fill(payloads) : queue.addMany(payloads));
  }
  await queue.afterFill?.();
  return { ms: performance.now() - startedAt };
}

/** From the start of the worker until the last task; for the whole backlog, until the store says that nothing is left. */
async function drain(
  queue: Queue,
  { count, maxMs, isWhole }: { count: number; maxMs: number; isWhole: boolean },
): Promise<LoadResult> {
  const doneAt = new Float64Array(count + 1);
  let done = 0;
  const ended = Promise.withResolvers<void>();
  const startedAt = performance.now();
  const cap = setTimeout(() => ended.resolve(), maxMs);
  await queue.work({
    concurrency: CONCURRENCY,
    onStart() {},
    onDone() {
      if (done >= count) return;
      doneAt[++done] = performance.now() - startedAt;
      if (done === count) ended.resolve();
    },
  });
  await ended.promise;
  clearTimeout(cap);
  const isCapped = done < count;
  if (isWhole && !isCapped) await untilNothingRemains(queue);
  const ms = performance.now() - startedAt;
  return {
    per_second: perSecond(done, ms),
    count: done,
    capped: isCapped ? 1 : 0,
    window_per_second: windowRate(doneAt, done),
  };
}

/** The like-for-like part of two drains of the same size: from a fifth to nine tenths, past the start and before the end. */
function windowRate(doneAt: Float64Array, done: number): number {
  const from = Math.floor(done * 0.2);
  const to = Math.floor(done * 0.9);
  return perSecond(to - from, (doneAt[to] ?? NaN) - (doneAt[from] ?? NaN));
}

async function untilNothingRemains(queue: Queue): Promise<void> {
  for (const deadline = performance.now() + 20_000; (await queue.remaining()) > 0; await sleep(2)) {
    if (performance.now() > deadline) throw new Error('tasks remain 20 s after the last handler');
  }
}

/** One task every `everyMs` to a worker that waits: from the call of the producer to the handler. The first `warmUp` do not count. */
async function measurePickup(
  queue: Queue,
  { warmUp, count, everyMs }: { warmUp: number; count: number; everyMs: number },
): Promise<LoadResult> {
  const sentAt = new Map<number, number>();
  const latencies: number[] = [];
  const all = Promise.withResolvers<void>();
  await queue.work({
    concurrency: CONCURRENCY,
    onStart({ seq = -1 }) {
      const sent = sentAt.get(seq);
      if (sent === undefined) return;
      sentAt.delete(seq);
      if (seq < warmUp) return;
      latencies.push(performance.now() - sent);
      if (latencies.length === count) all.resolve();
    },
    onDone() {},
  });
  await sleep(1500);
  const startedAt = performance.now();
  const adds: Promise<unknown>[] = [];
  for (let seq = 0; seq < warmUp + count; seq++) {
    const wait = startedAt + seq * everyMs - performance.now();
    if (wait > 0) await sleep(wait);
    sentAt.set(seq, performance.now());
    adds.push(queue.add({ ...aPayload(seq), seq }));
  }
  await Promise.all(adds);
  await Promise.race([all.promise, sleep(6000)]);
  latencies.sort((a, b) => a - b);
  return {
    p50_ms: quantile(latencies, 0.5),
    p99_ms: quantile(latencies, 0.99),
    max_ms: latencies.at(-1) ?? NaN,
    lost: count - latencies.length,
  };
}

/** One after the other, between two marks for whoever traces the store. */
async function acknowledge(queue: Queue, count: number): Promise<void> {
  await queue.add(aPayload(0));
  await sleep(1500);
  print({ mark: 1 });
  await sleep(300);
  const startedAt = performance.now();
  for (let index = 0; index < count; index++) await queue.add(aPayload(index));
  print({ mark: 2, ms: performance.now() - startedAt });
  await sleep(300);
}

function print(result: LoadResult): void {
  // The highest resident size of this process, in KiB on Linux: the store itself when there is no server.
  const load_peak_rss_mib = process.resourceUsage().maxRSS / 1024;
  process.stdout.write(`@@${JSON.stringify({ ...result, load_peak_rss_mib })}\n`);
}

function perSecond(count: number, ms: number): number {
  return (count / ms) * 1000;
}

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
