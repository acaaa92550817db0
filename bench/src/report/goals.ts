import { formatNumber, type Get } from './summary.ts';

/** One line of the issue: what was measured, against its floor and its aim. */
interface Goal {
  readonly name: string;
  /** NaN: not measured. */
  readonly measured: number;
  readonly floor: number;
  readonly aim: number;
  readonly isLessBetter?: boolean;
  readonly unit?: string;
  /** Not a ratio: it moves with the speed of the machine. */
  readonly isAbsolute?: boolean;
}

/** Requests a second of bare node:http on the machine for which the absolute figures were set. */
const BARE_WHERE_SET = 36_000;

export function goalTable(get: Get): string[] {
  const all = goals(get);
  if (all.every(({ measured }) => Number.isNaN(measured))) return [];
  const speed = bareRate(get) / BARE_WHERE_SET;
  const rows = all.map((goal) => {
    const { name, measured, floor, aim, unit = '' } = goal;
    const shown = Number.isNaN(measured) ? '–' : `${formatNumber(measured)}${unit}`;
    const cells = [name, showTarget(goal, floor), showTarget(goal, aim), shown, judge(goal), judgeAtSpeed(goal, speed)];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    "| | floor | aim | measured | | the floor at this machine's speed |",
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    `Figures that are no ratios were set where bare node:http does ${formatNumber(BARE_WHERE_SET)} requests/s. The last column has them for what it did in this run.`,
  ];
}

function showTarget({ isLessBetter = false, unit = '' }: Goal, target: number): string {
  return Number.isNaN(target) ? '–' : `${isLessBetter ? '< ' : '≥ '}${formatNumber(target)}${unit}`;
}

function judge(goal: Goal): string {
  const { measured, floor, aim } = goal;
  if (Number.isNaN(measured) || Number.isNaN(floor)) return '–';
  if (reaches(goal, aim)) return 'aim reached';
  return reaches(goal, floor) ? 'floor held' : '**below the floor**';
}

function judgeAtSpeed(goal: Goal, speed: number): string {
  const { measured, floor, isLessBetter = false, isAbsolute = false } = goal;
  if (!isAbsolute || Number.isNaN(measured) || Number.isNaN(speed)) return '';
  const target = isLessBetter ? floor / speed : floor * speed;
  return `${showTarget(goal, target)}: ${reaches(goal, target) ? 'held' : '**below**'}`;
}

function reaches({ measured, isLessBetter = false }: Goal, target: number): boolean {
  return isLessBetter ? measured < target : measured >= target;
}

function bareRate(get: Get): number {
  return get('node:http', 'G bare', 'per_second')?.median ?? NaN;
}

function goals(get: Get): Goal[] {
  const median = (system: string, name: string, value: string) => get(system, name, value)?.median ?? NaN;
  const rate = (system: string, name: string) => median(system, name, 'per_second');
  const bare = bareRate(get);
  const drain = greatest([rate('ours', 'C'), rate('ours-prefetch', 'C')]);
  const httpCases = ['create', 'life-cycle', 'trpc', 'trpc-batch'];
  const cases = [
    'A',
    'B',
    'C',
    'D',
    'E 300k',
    'E 1M',
    'E 1M+1M+1M',
    ...httpCases.map((name) => `G ${name}`),
    'H polls',
    'H 100/s',
    'I',
  ];
  const memory = ['ours', 'ours-prefetch'].flatMap((system) =>
    cases.map((name) => get(system, name, 'peak_rss_mib')?.max ?? NaN),
  );
  const deep = least(['ours', 'ours-prefetch'].map((system) => ratioToC(get, system, 'E 1M+1M+1M')));
  return [
    { name: 'REST create, of bare node:http', measured: rate('ours', 'G create') / bare, floor: 0.33, aim: 0.5 },
    {
      name: 'REST life cycle, requests of bare node:http',
      measured: rate('ours', 'G life-cycle') / bare,
      floor: 0.33,
      aim: 0.5,
    },
    {
      name: 'worst P99 of the two',
      measured: greatest([median('ours', 'G create', 'p99_ms'), median('ours', 'G life-cycle', 'p99_ms')]),
      floor: 100,
      aim: 20,
      isLessBetter: true,
      unit: ' ms',
      isAbsolute: true,
    },
    { name: 'tRPC single create, of bare node:http', measured: rate('ours', 'G trpc') / bare, floor: 0.22, aim: 0.35 },
    {
      name: 'tRPC batches of 10, calls/s',
      measured: median('ours', 'G trpc-batch', 'calls_per_second'),
      floor: 40_000,
      aim: 60_000,
      isAbsolute: true,
    },
    { name: 'A, over BullMQ', measured: rate('ours', 'A') / rate('bullmq', 'A'), floor: 1, aim: 1.5 },
    { name: 'B, over graphile-worker', measured: rate('ours', 'B') / rate('graphile', 'B'), floor: 1, aim: 2 },
    {
      name: 'C (better row), tasks/s',
      measured: drain,
      floor: rate('pg-boss-batch', 'C'),
      aim: rate('graphile-batch', 'C'),
    },
    {
      name: 'D pickup p50',
      measured: median('ours', 'D', 'p50_ms'),
      floor: 2,
      aim: 1,
      isLessBetter: true,
      unit: ' ms',
      isAbsolute: true,
    },
    {
      name: 'D pickup p99',
      measured: median('ours', 'D', 'p99_ms'),
      floor: 10,
      aim: 4,
      isLessBetter: true,
      unit: ' ms',
      isAbsolute: true,
    },
    { name: 'E at 1M waiting + 1M scheduled + 1M finished, over C (worse row)', measured: deep, floor: 0.8, aim: 0.95 },
    {
      name: 'peak RSS of the server, worst scenario',
      measured: greatest(memory),
      floor: 128,
      aim: 100,
      isLessBetter: true,
      unit: ' MiB',
    },
    {
      name: 'CPU at 100 requests/s',
      measured: median('ours', 'H 100/s', 'cpu_percent'),
      floor: 10,
      aim: 5,
      isLessBetter: true,
      unit: ' %',
      isAbsolute: true,
    },
    {
      name: 'CPU of 1,000 idle long polls',
      measured: median('ours', 'H polls', 'cpu_percent'),
      floor: 2,
      aim: 1,
      isLessBetter: true,
      unit: ' %',
      isAbsolute: true,
    },
    {
      name: 'restart to ready with 1,000,000 tasks',
      measured: median('ours', 'I', 'ready_ms'),
      floor: 2000,
      aim: 1000,
      isLessBetter: true,
      unit: ' ms',
      isAbsolute: true,
    },
    {
      name: 'the same after kill -9',
      measured: median('ours', 'I', 'ready_after_kill_ms'),
      floor: 2000,
      aim: 1000,
      isLessBetter: true,
      unit: ' ms',
      isAbsolute: true,
    },
  ];
}

/** Rates of the same window of two drains of the same size. */
export function ratioToC(get: Get, system: string, name: string): number {
  const window = (one: string) => get(system, one, 'window_per_second')?.median ?? NaN;
  return window(name) / window('C');
}

function greatest(values: readonly number[]): number {
  return values.reduce((most, value) => (Number.isNaN(most) || value > most ? value : most), NaN);
}

/** The worse of two rows that were both measured. */
function least(values: readonly number[]): number {
  return -greatest(values.map((value) => -value));
}
