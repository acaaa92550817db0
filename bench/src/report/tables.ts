import type { Results } from '../results.ts';
import { BARE_STORE } from '../scenarios/limits.ts';
import { SYSTEMS } from '../systems.ts';
import { goalTable, ratioToC } from './goals.ts';
import { formatNumber, formatSummary, summarize, type Get } from './summary.ts';

/** Everything that was measured, in Markdown. */
export function formatReport(results: Results): string {
  const get = summarize(results);
  const { machine, settings, measurements } = results;
  const pinned = settings.pinned ? 'servers pinned to core 0, load to core 1' : 'nothing pinned';
  const scale = settings.scale === 1 ? '' : `; **scale ${settings.scale}: not for comparison**`;
  const sections = [
    ['## Machine', `${machine}; ${pinned}${scale}. Median (least–greatest) of the rounds.`],
    ['## Queues', ...queueTable(get)],
    ['## HTTP, 64 connections', ...httpTable(get)],
    ['## Memory of our server, peak RSS in MiB', ...memoryTable(get)],
    ['## Idle and restart', ...idleTable(get)],
    ['## Goals', ...goalTable(get)],
    ['## What an acknowledgement means', ...acknowledgementTable(results, get)],
    ['## Bare limits, per second unless named otherwise', ...limitTable(results, get)],
    ['## Failures', ...measurements.flatMap((one) => (one.error ? [`- ${one.system} ${one.case}: ${one.error}`] : []))],
  ];
  return sections
    .filter(([, ...lines]) => lines.length > 0)
    .map(([title, ...lines]) => `${title}\n\n${lines.join('\n')}\n`)
    .join('\n');
}

const MEMORY_CASES = ['A', 'B', 'C', 'D', 'E 300k', 'E 1M', 'E 1M+1M+1M'];

function queueTable(get: Get): string[] {
  const rows = SYSTEMS.flatMap(({ id }) => {
    const rate = (name: string) => get(id, name, 'per_second');
    const cells = [
      ...['A', 'B', 'C'].map((name) => formatSummary(rate(name))),
      ...['p50_ms', 'p99_ms'].map((value) => formatSummary(get(id, 'D', value))),
      ...['E 300k', 'E 1M', 'E 1M+1M+1M'].map(
        (name) => formatSummary(rate(name)) + formatRatio(ratioToC(get, id, name)),
      ),
      formatPeak(get, id),
    ];
    return cells.every((cell) => cell === '–')
      ? []
      : [`| ${id}${isCapped(get, id) ? ' †' : ''} | ${cells.join(' | ')} |`];
  });
  if (rows.length === 0) return [];
  return [
    '| | A enqueue ×64, /s | B bulk 500, /s | C drain 20k, /s | D p50 ms | D p99 ms | E 300k waiting, /s (E/C) | E 1M waiting, /s (E/C) | E 1M + 1M scheduled + 1M finished, /s (E/C) | F peak RSS (PSS), MiB |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    'E/C compares the same window of both drains (a fifth to nine tenths). F is the highest of A to E: of the server, or of the load process where the store lives in it; PostgreSQL counts its shared buffers once a process, which PSS, taken at the end, does not.',
    '† at least one drain ended at its cap of 20 s; the rate is of what was done by then.',
  ];
}

function formatRatio(ratio: number): string {
  return Number.isNaN(ratio) ? '' : ` ×${ratio.toFixed(2)}`;
}

function formatPeak(get: Get, system: string): string {
  const highest = (value: string) => Math.max(...MEMORY_CASES.map((name) => get(system, name, value)?.max ?? 0));
  const [peak, pss] = [highest('peak_rss_mib'), highest('pss_mib')];
  if (peak === 0) return '–';
  return pss === 0 ? formatNumber(peak) : `${formatNumber(peak)} (${formatNumber(pss)})`;
}

function isCapped(get: Get, system: string): boolean {
  return MEMORY_CASES.some((name) => (get(system, name, 'capped')?.max ?? 0) > 0);
}

function httpTable(get: Get): string[] {
  const bare = get('node:http', 'G bare', 'per_second');
  if (!bare) return [];
  const row = (label: string, system: string, name: string) => {
    const rate = get(system, name, 'per_second');
    const share = rate ? (rate.median / bare.median).toFixed(2) : '–';
    const cells = ['calls_per_second', 'p50_ms', 'p99_ms', 'max_ms', 'peak_rss_mib'].map((value) =>
      formatSummary(get(system, name, value)),
    );
    return `| ${label} | ${formatSummary(rate)} | ${share} | ${cells.join(' | ')} |`;
  };
  return [
    '| | requests/s | of bare | calls/s | p50 ms | p99 ms | max ms | peak RSS, MiB |',
    '|---|---|---|---|---|---|---|---|',
    row('bare node:http', 'node:http', 'G bare'),
    row('REST create', 'ours', 'G create'),
    row('REST life cycle: create, next, complete', 'ours', 'G life-cycle'),
    row('tRPC create', 'ours', 'G trpc'),
    row('tRPC create, batches of 10', 'ours', 'G trpc-batch'),
  ];
}

function memoryTable(get: Get): string[] {
  const cases = [...MEMORY_CASES, 'G create', 'G life-cycle', 'G trpc', 'G trpc-batch', 'H polls', 'H 100/s', 'I'];
  const rows = ['ours', 'ours-prefetch'].map((system) => {
    const cells = cases.map((name) => formatSummary(get(system, name, 'peak_rss_mib')));
    return cells.every((cell) => cell === '–') ? '' : `| ${system} | ${cells.join(' | ')} |`;
  });
  const shown = rows.filter((row) => row !== '');
  if (shown.length === 0) return [];
  return [`| | ${cases.join(' | ')} |`, `|${'---|'.repeat(cases.length + 1)}`, ...shown];
}

function idleTable(get: Get): string[] {
  const lines: readonly (readonly [string, string, string])[] = [
    ['CPU of 1,000 idle long polls, % of a core', 'H polls', 'cpu_percent'],
    ['CPU at 100 requests/s, % of a core', 'H 100/s', 'cpu_percent'],
    ['restart to ready with 1,000,000 tasks, ms', 'I', 'ready_ms'],
    ['the same after kill -9 while writing, ms', 'I', 'ready_after_kill_ms'],
  ];
  const rows = lines.flatMap(([label, name, value]) => {
    const summary = get('ours', name, value);
    return summary ? [`| ${label} | ${formatSummary(summary)} |`] : [];
  });
  return rows.length === 0 ? [] : ['| | ours |', '|---|---|', ...rows];
}

function acknowledgementTable({ measurements }: Results, get: Get): string[] {
  const rows = SYSTEMS.flatMap(({ id, acknowledgement, configuration }) => {
    if (!measurements.some(({ system }) => system === id)) return [];
    const flushes = get(id, 'S', 'flushes');
    const unflushed = get(id, 'S', 'replies_before_flush');
    const seen = flushes
      ? `${flushes.median}${unflushed ? `; ${unflushed.median} replies left before a flush` : ''}`
      : '–';
    return [`| ${id} | ${acknowledgement} | ${seen} | ${configuration} |`];
  });
  return [
    '| | an acknowledged enqueue is | flush calls during 100 enqueues, one after the other (strace) | settings |',
    '|---|---|---|---|',
    ...rows,
  ];
}

function limitTable({ measurements }: Results, get: Get): string[] {
  const rows = ['better-sqlite3', 'node:http', BARE_STORE].flatMap((system) => {
    const first = measurements.find((one) => one.system === system && one.case === 'L');
    return Object.keys(first?.values ?? {}).map(
      (value) => `| ${system} ${value} | ${formatSummary(get(system, 'L', value))} |`,
    );
  });
  return rows.length === 0 ? [] : ['| | |', '|---|---|', ...rows];
}
