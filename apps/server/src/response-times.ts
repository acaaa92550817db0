import type { Registry } from 'prom-client';
import { createHistogram } from './histogram.ts';

/** Records how long the answers of one operation took. */
export interface ResponseTimes {
  observe(status: number, seconds: number): void;
}

const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'];

/** The histogram `response_time_seconds`. */
export function createResponseTimes(registry: Registry): (method: string, route: string) => ResponseTimes {
  const bound = new Map<string, ResponseTimes>();
  const histogram = createHistogram(registry, {
    name: 'response_time_seconds',
    help: 'Time to answer a request; requests that asked to wait are left out',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  });

  function bind(method: string, route: string): ResponseTimes {
    const series = CLASSES.map((status) => histogram.series({ method, route, status }));
    return { observe: (status, seconds) => series[Math.floor(status / 100) - 1]?.observe(seconds) };
  }

  return (method, route) => {
    // Several doors lead to one operation.
    const key = `${method} ${route}`;
    const times = bound.get(key) ?? bind(method, route);
    bound.set(key, times);
    return times;
  };
}
