import type { Core } from '@task-orchestrator/core';
import { Gauge, type Registry } from 'prom-client';
import { shareRecent } from './share-recent.ts';

/** Scraped more often than this, the answer is the same: with many paths it is not free, and anyone may scrape. */
const VALID_MS = 5000;

/** What waits for how long, measured when it is scraped. Without a database there is no value, and the others are shown. */
export function showBacklog(registry: Registry, core: Core): void {
  const registers = [registry];
  const measure = shareRecent(() => core.measureBacklog().catch(() => undefined), VALID_MS);
  new Gauge({
    name: 'task_oldest_waiting_seconds',
    help: 'Time since the longest-waiting task of each priority became ready',
    labelNames: ['priority'],
    registers,
    async collect() {
      this.reset();
      const backlog = await measure();
      for (const [priority, seconds] of Object.entries(backlog?.oldestSeconds ?? {})) this.set({ priority }, seconds);
    },
  });
  new Gauge({
    name: 'paths_without_worker',
    help: 'Paths whose longest-waiting task has been ready for five minutes while nobody works there',
    registers,
    async collect() {
      this.remove();
      const backlog = await measure();
      if (backlog) this.set(backlog.pathsWithoutWorker);
    },
  });
}
