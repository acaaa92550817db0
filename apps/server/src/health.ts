import type { Health } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import { shareRecent } from './share-recent.ts';

export interface HealthCheck {
  get(): Promise<Health>;
  /** Whether to send traffic here: not while the server is ending or cannot reach its database. */
  isReady(): Promise<boolean>;
  /** Why writes are refused while reads go on, as with a full disk; null while they go through. */
  writeProblem(): string | null;
}

type DatabaseState = Health['components']['database'];

/** Health is asked often and by anyone: answers of the database are shared for this long. */
const CHECK_VALID_MS = 500;
const CHECK_TIMEOUT_MS = 5000;

/** @param isDraining tells that the server has begun to end. */
export function createHealthCheck(options: {
  core: Core;
  version: string;
  isDraining: () => boolean;
  countConnections: () => Promise<number>;
}): HealthCheck {
  const { core, version, isDraining, countConnections } = options;
  const startedAt = performance.now();
  const measureCpu = createCpuMeter();
  const checkDatabase = shareRecent(() => pingDatabase(core), CHECK_VALID_MS);
  return {
    async get() {
      const [database, connections] = await Promise.all([checkDatabase(), countConnections()]);
      const problem = core.writeProblem();
      return {
        status: !database.healthy ? 'unhealthy' : problem === null ? 'healthy' : 'degraded',
        timestamp: new Date().toISOString(),
        version,
        uptime: formatUptime((performance.now() - startedAt) / 1000),
        components: { database: { ...database, ...(problem !== null && { problem }) } },
        metrics: {
          memory_usage: `${Math.round(process.memoryUsage.rss() / 2 ** 20)}MB`,
          cpu_usage: measureCpu(),
          active_connections: connections,
          queue_size: core.gauges().tasks.waiting,
        },
      };
    },
    writeProblem: () => core.writeProblem(),
    isReady: async () => !isDraining() && (await checkDatabase()).healthy,
  };
}

/** `1d2h`, `1h30m`, `5m12s`, `7s`: the two largest units. */
export function formatUptime(seconds: number): string {
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const;
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0s';
  let rest = Math.floor(seconds);
  return units
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const count = Math.floor(rest / size);
      rest %= size;
      return `${count}${unit}`;
    })
    .join('');
}

async function pingDatabase(core: Core): Promise<DatabaseState> {
  const startedAt = performance.now();
  const healthy = await Promise.race([core.ping().then(isTrue, isFalse), afterTimeout(CHECK_TIMEOUT_MS)]);
  const response_time = Math.round((performance.now() - startedAt) * 1000) / 1000;
  return { healthy, response_time, last_checked: new Date().toISOString() };
}

const isTrue = () => true;
const isFalse = () => false;

function afterTimeout(ms: number): Promise<boolean> {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}

/** Percent of one core since it was asked last, one decimal. */
function createCpuMeter(): () => number {
  let usage = process.cpuUsage();
  let at = performance.now();
  let percent = 0;
  return () => {
    const now = performance.now();
    // Two probes at the same moment must not divide by nearly nothing.
    if (now - at < 100) return percent;
    const used = process.cpuUsage(usage);
    percent = Math.round(((used.user + used.system) / 1000 / (now - at)) * 1000) / 10;
    usage = process.cpuUsage();
    at = now;
    return percent;
  };
}
