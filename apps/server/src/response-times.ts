import type { Metric, Registry } from 'prom-client';

/** Records how long the answers of one operation took. */
export interface ResponseTimes {
  observe(status: number, seconds: number): void;
}

const NAME = 'response_time_seconds';
const HELP = 'Time to answer a request; requests that asked to wait are left out';
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

interface Series {
  labels: { method: string; route: string; status: string };
  /** How many answers fell into each bucket alone; the last one has no bound. */
  counts: number[];
  sum: number;
}

/**
 * The histogram `response_time_seconds`. Own code for this one metric, since every request passes it: a histogram of
 * prom-client looks its labels up at each observation and takes a tenth of the time of a request.
 */
export function createResponseTimes(registry: Registry): (method: string, route: string) => ResponseTimes {
  const all: Series[] = [];
  const bound = new Map<string, ResponseTimes>();
  registry.registerMetric(asMetric({ name: NAME, type: 'histogram', get: () => describe(all) }));

  function bind(method: string, route: string): ResponseTimes {
    const series = ['1xx', '2xx', '3xx', '4xx', '5xx'].map((status) => {
      const counts = Array<number>(BOUNDS.length + 1).fill(0);
      return { labels: { method, route, status }, counts, sum: 0 };
    });
    all.push(...series);
    return {
      observe(status, seconds) {
        const one = series[Math.floor(status / 100) - 1];
        if (one) add(one, seconds);
      },
    };
  }

  return (method, route) => {
    // Several doors lead to one operation.
    const key = `${method} ${route}`;
    const times = bound.get(key) ?? bind(method, route);
    bound.set(key, times);
    return times;
  };
}

function add(series: Series, seconds: number): void {
  let bucket = 0;
  while (seconds > (BOUNDS[bucket] ?? Infinity)) bucket += 1;
  series.counts[bucket]! += 1;
  series.sum += seconds;
}

/** In the form that the registry renders: https://prometheus.io/docs/concepts/metric_types/#histogram */
async function describe(all: readonly Series[]) {
  const values = all.filter(({ counts }) => counts.some(Boolean)).flatMap(toValues);
  return { name: NAME, help: HELP, type: 'histogram', values, aggregator: 'sum' };
}

function toValues({ labels, counts, sum }: Series) {
  let total = 0;
  const buckets = counts.map((count, index) => {
    total += count;
    return { metricName: `${NAME}_bucket`, labels: { ...labels, le: BOUNDS[index] ?? '+Inf' }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${NAME}_sum`, labels, value: sum },
    { metricName: `${NAME}_count`, labels, value: total },
  ];
}

/** A registry asks nothing of a metric but its name and what `get` gives; the test of the metrics page holds that. */
function asMetric(metric: { name: string; type: 'histogram'; get: () => Promise<unknown> }): Metric {
  return metric as unknown as Metric;
}
