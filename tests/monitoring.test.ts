import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { readDocument } from './docs/support/markdown.ts';
import { readSeries, type Series } from './support/exposition.ts';
import { ROOT } from './support/processes.ts';
import { readExpression, type Selector } from './support/promql.ts';
import { ServerProcess } from './support/server-process.ts';

const DASHBOARDS = join(ROOT, 'deploy/grafana/dashboards');
const PROMETHEUS = join(ROOT, 'deploy/prometheus');

/** Of every target, by Prometheus itself. */
const TARGET_LABELS = ['job', 'instance'];
/** Every server shows the same number: added up, two servers would make twice the queue. */
const OF_THE_WHOLE_SYSTEM = [
  'tasks',
  'tasks_waiting',
  'active_tasks',
  'task_oldest_waiting_seconds',
  'paths_without_worker',
];

interface Rule {
  alert: string;
  expr: string;
  annotations: { runbook: string };
}
const { groups } = readYaml('alerts.yml') as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

interface RuleTest {
  alert_rule_test: { alertname: string; exp_alerts: unknown[] }[];
}
const { tests: ruleTests } = readYaml('alerts.test.yml') as { tests: RuleTest[] };

interface Panel {
  title: string;
  targets?: { expr: string }[];
}
const panels = readdirSync(DASHBOARDS)
  .filter((file) => file.endsWith('.json'))
  .flatMap((file) => (JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as { panels: Panel[] }).panels);

const expressions = [
  ...rules.map(({ alert, expr }) => ({ name: `alert ${alert}`, expr })),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ name: `panel ${title}`, expr }))),
].map(({ name, expr }) => ({ name, expr: fillIn(expr) }));

test('each expression is PromQL, and asks for metrics and labels that a server shows', async () => {
  const series = await workAndScrape();
  expect(expressions.length).toBeGreaterThan(40);
  const missing = expressions.flatMap(({ name, expr }) => {
    const { selectors, groupedBy } = readExpression(expr);
    const labels = new Set([...TARGET_LABELS, ...selectors.flatMap((selector) => labelsOf(selector, series))]);
    return [
      ...selectors.filter((selector) => !isShown(selector, series)).map((selector) => `${name}: ${describe(selector)}`),
      ...groupedBy.filter((label) => !labels.has(label)).map((label) => `${name}: by (${label})`),
    ];
  });
  expect(missing).toEqual([]);
});

test('a metric or label that is not there is found', () => {
  const series = readSeries('tasks{status="waiting"} 1\n');
  const shown = (expr: string) => readExpression(expr).selectors.map((selector) => isShown(selector, series));
  expect(shown('tasks{job="x"} + tusks + tasks{state="waiting"} + tasks{status="done"} + up')).toEqual([
    true,
    false,
    false,
    false,
    true,
  ]);
  expect(() => readExpression('sum(tasks')).toThrow('not PromQL');
});

test('what every server shows of the whole system is never added up over servers', () => {
  const added = expressions.flatMap(({ name, expr }) =>
    readExpression(expr)
      .selectors.filter(({ metric, aggregation }) => OF_THE_WHOLE_SYSTEM.includes(metric) && aggregation !== 'max')
      .map(({ metric }) => `${name}: ${metric}`),
  );
  expect(added).toEqual([]);
});

test('every alert has a runbook, and rule tests of when it fires and when not', () => {
  const headings = [...readDocument('docs/observability.md').matchAll(/^#+ (.+)$/gm)].map(([, text]) => text);
  const cases = ruleTests.flatMap(({ alert_rule_test }) => alert_rule_test);
  for (const { alert, annotations } of rules) {
    expect(headings).toContain(alert);
    expect(annotations.runbook).toBe(`docs/observability.md#${alert.toLowerCase()}`);
    const fires = cases.filter(({ alertname }) => alertname === alert).map(({ exp_alerts }) => exp_alerts.length > 0);
    expect(new Set(fires), alert).toEqual(new Set([true, false]));
  }
});

function readYaml(file: string): unknown {
  return parse(readFileSync(join(PROMETHEUS, file), 'utf8'));
}

/** A task of each kind of ending, and a page of metrics afterwards. */
async function workAndScrape(): Promise<Series[]> {
  const server = await ServerProcess.start();
  const client = server.client();
  const path = { work_directory: '/srv/repo', prompt: 'work' };
  for (let count = 0; count < 4; count++) await client.tasks.create({ ...path, max_attempts: 2 });
  const { tasks } = await client.tasks.acquire({ work_path: '/srv/repo', worker_id: 'worker', limit: 2 });
  const [done, failed] = tasks;
  await client.tasks.complete({ task_id: done!.task_id, lease_token: done!.lease_token });
  const error = { message: 'no' };
  await client.tasks.fail({ task_id: failed!.task_id, lease_token: failed!.lease_token, error, retryable: false });
  return readSeries(await server.text('/metrics'));
}

function isShown(selector: Selector, series: readonly Series[]): boolean {
  const { metric, matchers } = selector;
  if (metric === 'up') return matchers.every(({ label }) => TARGET_LABELS.includes(label));
  const own = matchers.filter(({ label }) => !TARGET_LABELS.includes(label));
  // In a server that works nothing fails.
  const values = own.filter(({ label, value }) => label !== 'status' || value !== '5xx');
  return series.some(
    ({ metric: name, labels }) =>
      name === metric &&
      own.every(({ label }) => label in labels) &&
      values.every((matcher) => isMatched(matcher, labels[matcher.label] ?? '')),
  );
}

function isMatched({ operator, value }: Selector['matchers'][number], shown: string): boolean {
  switch (operator) {
    case '=':
      return shown === value;
    case '=~':
      return new RegExp(`^(?:${value})$`).test(shown);
    default:
      throw new Error(`${operator} is not used so far`);
  }
}

function labelsOf({ metric }: Selector, series: readonly Series[]): string[] {
  return series.flatMap(({ metric: name, labels }) => (name === metric ? Object.keys(labels) : []));
}

function describe({ metric, matchers }: Selector): string {
  return `${metric}{${matchers.map(({ label, operator, value }) => `${label}${operator}"${value}"`).join()}}`;
}

/** What Grafana puts in the place of its variables. */
function fillIn(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '1m')
    .replaceAll('$job', 'task-orchestrator')
    .replaceAll('$instance', '.*');
}
