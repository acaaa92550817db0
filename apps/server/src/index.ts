export { buildApp } from './app.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export type { AppRouter } from './transports/trpc/router.ts';
