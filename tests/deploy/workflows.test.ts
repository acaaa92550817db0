import { readdirSync, readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../support/processes.ts';

// The parser imports JSON as only bundlers allow.
registerHooks({
  load: (url, context, next) =>
    next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context),
});
const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } = await import('@actions/workflow-parser');

interface Step {
  run?: string;
  uses?: string;
}

interface Job {
  permissions?: object;
  'timeout-minutes'?: number;
  steps: Step[];
}

const folder = join(ROOT, '.github/workflows');
const workflows = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }));
const jobs = workflows.flatMap(({ text }) => Object.entries((parse(text) as { jobs: Record<string, Job> }).jobs));
const steps = jobs.flatMap(([, job]) => job.steps);

test.each(workflows)("$name passes GitHub's own parser", async ({ name, text }) => {
  expect(await findErrors(name, text)).toEqual([]);
});

test("GitHub's own parser notices a key that is misspelt, and a context that does not exist", async () => {
  const aWorkflow = (step: string) => `on: push\njobs:\n  a:\n    runs-on: b\n    steps:\n      - ${step}`;
  expect(await findErrors('a.yml', aWorkflow('runn: c'))).toContainEqual(expect.stringContaining("'runn'"));
  expect(await findErrors('a.yml', aWorkflow('run: ${{ secret.c }}'))).toContainEqual(
    expect.stringContaining("'secret'"),
  );
});

test('every action is pinned by commit, and the same one everywhere, with its version beside it', () => {
  const lines = workflows.flatMap(({ text }) => text.match(/uses: .*/g) ?? []);
  const pin = /^uses: ([\w-]+\/[\w-]+)(?:\/[\w-]+)*@([0-9a-f]{40}) # v\d+\.\d+\.\d+$/;
  expect(lines.filter((line) => !pin.test(line))).toEqual([]);
  const pins = new Set(lines.map((line) => line.replace(/^uses: ([\w-]+\/[\w-]+)[^@]*@/, '$1@')));
  const actions = new Set([...pins].map((each) => each.split('@')[0]));
  expect(pins.size).toBe(actions.size);
});

test('every script that a workflow runs is one of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const commands = workflows.flatMap(({ text }) => [...text.matchAll(/\b(?:npm|pnpm) (?:run ([\w:]+)|(test)\b)/g)]);
  const named = commands.map(([, script, test]) => script ?? test ?? '');
  expect(named).toEqual(expect.arrayContaining(['test', 'prove:image', 'release', 'build']));
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('a workflow may read and no more unless a job asks for it, and every job ends in time', () => {
  for (const { text } of workflows) expect(parse(text)).toMatchObject({ permissions: { contents: 'read' } });
  expect(jobs.filter(([, job]) => job['timeout-minutes'] === undefined).map(([name]) => name)).toEqual([]);
});

test('no command of a workflow is put together from what a stranger may have written', () => {
  const strangers = /\$\{\{[^}]*(github\.event\.|github\.head_ref)/;
  expect(steps.filter(({ run }) => run !== undefined && strangers.test(run))).toEqual([]);
});

async function findErrors(name: string, content: string): Promise<string[]> {
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  if (value) await convertWorkflowTemplate(context, value);
  return context.errors.getErrors().map(({ message }) => message);
}
