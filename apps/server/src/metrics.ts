import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TaskEvent } from '@task-orchestrator/contract';
import type { Core, CoreObserver } from '@task-orchestrator/core';
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import { showBacklog } from './backlog-gauges.ts';
import { createHistogram } from './histogram.ts';
import { createResponseTimes, type ResponseTimes } from './response-times.ts';

export interface Metrics {
  /** Goes to the core when it opens. */
  readonly observer: CoreObserver;
  readonly contentType: string;
  /** The series of one operation, bound once: no labels are looked up while requests are answered. */
  responseTimes(method: string, route: string): ResponseTimes;
  /** From here on the gauges show this core. */
  watch(core: Core): void;
  /** The text for Prometheus. */
  render(): Promise<string>;
  stop(): void;
}

const TASK_BUCKETS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const COMMIT_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/** Every metric of the service; labels never hold ids, paths or prompts. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_RESOLUTION_MS });
  const loopDelay = observeEventLoop(registry);
  return {
    observer: { ...observeCommits(registry), onEvents: countEvents(registry) },
    contentType: registry.contentType,
    responseTimes: createResponseTimes(registry),
    watch(core) {
      showGauges(registry, core);
      showBacklog(registry, core);
    },
    render: () => registry.metrics(),
    stop: () => loopDelay.disable(),
  };
}

function observeCommits(registry: Registry): Pick<CoreObserver, 'onCommit'> {
  const size = createHistogram(registry, {
    name: 'commit_batch_size',
    help: 'Calls that shared one commit',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
  }).series();
  const time = createHistogram(registry, {
    name: 'commit_seconds',
    help: 'Time of one commit, until it is durable',
    buckets: COMMIT_BUCKETS,
  }).series();
  return {
    onCommit: ({ calls, seconds }) => {
      size.observe(calls);
      time.observe(seconds);
    },
  };
}

type EventCounters = Partial<Record<TaskEvent['type'], Counter>>;

function countEvents(registry: Registry): NonNullable<CoreObserver['onEvents']> {
  const registers = [registry];
  const counter = (name: string, help: string) => new Counter({ name, help, registers });
  const retried = counter('task_retried_total', 'Attempts that failed and are tried again, and tasks retried by hand');
  const counters: EventCounters = {
    created: counter('task_created_total', 'Tasks created'),
    acquired: counter('task_acquired_total', 'Tasks handed to a worker'),
    completed: counter('task_completed_total', 'Tasks completed'),
    failed: counter('task_failed_total', 'Tasks that failed for good'),
    cancelled: counter('task_cancelled_total', 'Tasks cancelled'),
    lease_lost: counter('lease_lost_total', 'Leases that ended without a word of their worker'),
    attempt_failed: retried,
    retried,
  };
  const waitTime = createHistogram(registry, {
    name: 'task_wait_seconds',
    help: 'Time from ready to acquired',
    buckets: TASK_BUCKETS,
  }).series();
  const workTime = createHistogram(registry, {
    name: 'task_processing_time_seconds',
    help: 'Time from acquired to finished',
    buckets: TASK_BUCKETS,
  }).series();
  return (events) => {
    const counts = new Map<TaskEvent['type'], number>();
    for (const { type, waitSeconds, workSeconds } of events) {
      counts.set(type, (counts.get(type) ?? 0) + 1);
      if (waitSeconds !== undefined) waitTime.observe(waitSeconds);
      if (workSeconds !== undefined) workTime.observe(workSeconds);
    }
    for (const [type, count] of counts) counters[type]?.inc(count);
  };
}

function showGauges(registry: Registry, core: Core): void {
  const registers = [registry];
  new Gauge({
    name: 'tasks',
    help: 'Tasks of each status',
    labelNames: ['status'],
    registers,
    collect() {
      for (const [status, count] of Object.entries(core.gauges().tasks)) this.set({ status }, count);
    },
  });
  new Gauge({
    name: 'active_tasks',
    help: 'Tasks that a worker holds',
    registers,
    collect() {
      this.set(core.gauges().tasks.working);
    },
  });
  new Gauge({
    name: 'database_writable',
    help: '0 while the database refuses writes, as with a full disk',
    registers,
    collect() {
      this.set(core.writeProblem() === null ? 1 : 0);
    },
  });
  new Gauge({
    name: 'tasks_waiting',
    help: 'Waiting tasks of each priority',
    labelNames: ['priority'],
    registers,
    collect() {
      for (const [priority, count] of Object.entries(core.gauges().waiting)) this.set({ priority }, count);
    },
  });
  new Gauge({
    name: 'acquire_waiters',
    help: 'Workers that wait for a task',
    registers,
    collect() {
      this.set(core.gauges().acquire_waiters);
    },
  });
}

/** Each tick wakes an idle process: at every 10 ms that was most of what one did. A stop of this length is never missed. */
const LOOP_RESOLUTION_MS = 100;

function observeEventLoop(registry: Registry): { disable(): void } {
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  delay.enable();
  new Gauge({
    name: 'event_loop_lag_seconds',
    help: 'How late the event loop ran since the last scrape',
    labelNames: ['quantile'],
    registers: [registry],
    collect() {
      for (const quantile of [0.5, 0.99, 1]) {
        // What is recorded is the time between two ticks of a timer, the timer's own period included.
        const lateMs = delay.percentile(quantile * 100) / 1e6 - LOOP_RESOLUTION_MS;
        this.set({ quantile }, Math.max(0, lateMs / 1000) || 0);
      }
      delay.reset();
    },
  });
  return { disable: () => void delay.disable() };
}
