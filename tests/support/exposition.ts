export interface Series {
  metric: string;
  labels: Record<string, string>;
}

/** The series of a metrics page. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
export function readSeries(page: string): Series[] {
  return [...page.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)].map(([, metric = '', labels = '']) => ({
    metric,
    labels: Object.fromEntries(
      [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    ),
  }));
}
