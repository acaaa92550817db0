import { setTimeout as pause } from 'node:timers/promises';
import { Worker, type AcquiredTask, type Task, type TaskEvent } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import { readTasks } from './support/all-tasks.ts';
import { checkIntegrity, copyDatabase } from './support/database-file.ts';
import { groupByTask, ofType, readHistory } from './support/history.ts';
import { seededRandom } from './support/seeded-random.ts';
import { recordAnswers } from './support/record-answers.ts';
import { aTemporaryFolder, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const KILLS = 20;

test(
  `${KILLS} kills under load lose nothing that was acknowledged and do nothing twice`,
  { timeout: 120_000 },
  async () => {
    const random = seededRandom();
    const server = await ServerProcess.startOnKeptPort();
    const load = startLoad(server);
    const folder = await aTemporaryFolder();
    try {
      for (let kill = 1; kill <= KILLS; kill++) {
        // Some kills fall into the start, when the last crash is just being recovered from.
        if (random.chance(0.2)) await pause(random.integer(50, 600));
        else await load.goesOnFor(random.integer(1, 400));
        await server.kill();
        expect(checkIntegrity(await copyDatabase(server.databasePath, folder))).toEqual(['ok']);
        server.launch();
      }
      await load.goesOnFor(100);
    } finally {
      await load.stop();
    }

    const client = server.client();
    const history = groupByTask(await readHistory(client));
    const tasks = await readTasks(client);
    const { created, completed, prompts } = load;
    console.log(`${KILLS} kills: ${created.size} creates and ${completed.size} completions were acknowledged`);
    expect(created.size).toBeGreaterThan(10 * KILLS);
    expect(completed.size).toBeGreaterThan(5 * KILLS);

    expect([...created].filter(([task_id, prompt]) => tasks.get(task_id)?.prompt !== prompt)).toEqual([]);
    expect([...created.keys()].filter((task_id) => !history.has(task_id))).toEqual([]);
    expect([...completed].filter(([task_id, output]) => tasks.get(task_id)?.result?.output !== output)).toEqual([]);
    expect([...completed.keys()].filter((task_id) => tasks.get(task_id)?.status !== 'completed')).toEqual([]);
    expect([...history].filter(([, events]) => ofType(events, 'completed').length > 1)).toEqual([]);
    expect([...history].filter(([task_id, events]) => !isToldBy(events, tasks.get(task_id)))).toEqual([]);
    // Nobody asked for the same twice, so a repeated call must not have made another.
    const perPrompt = Map.groupBy(tasks.values(), ({ prompt }) => prompt);
    expect([...perPrompt].filter(([prompt, same]) => prompts.has(prompt) && same.length > 1)).toEqual([]);

    expect(await server.stop()).toMatchObject({ exitCode: 0 });
    expect(checkIntegrity(server.databasePath)).toEqual(['ok']);
  },
);

/** The event log and the row, written in one commit, must agree. */
function isToldBy(events: readonly TaskEvent[], task: Task | undefined): boolean {
  const last = events.at(-1);
  return (
    events[0]?.type === 'created' &&
    last?.status === task?.status &&
    last?.attempt === task?.attempt &&
    last?.lease_epoch === task?.lease_epoch
  );
}

interface Acquired {
  tasks: AcquiredTask[];
}

/** Producers and workers, through the SDK and over bare REST, that write down what they were told. */
function startLoad(server: ServerProcess) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const created = new Map<string, string>();
  /** Output by task. */
  const completed = new Map<string, string>();
  const prompts = new Set<string>();
  let acknowledged = 0;

  const aDraft = (kind: string) => {
    const prompt = `${kind} ${prompts.size}`;
    prompts.add(prompt);
    return { work_directory: `/load/${kind}`, prompt };
  };
  const wasCreated = (task_id: string, prompt: string) => {
    created.set(task_id, prompt);
    acknowledged++;
  };
  const wasCompleted = (task_id: string, output: string) => {
    completed.set(task_id, output);
    acknowledged++;
  };

  const client = server.client({ retry: { attempts: 1000, minDelaySeconds: 0.02, maxDelaySeconds: 0.1 } });
  const worker = new Worker({
    client: recordAnswers(client, { onCompleted: ({ task_id, lease_token }) => wasCompleted(task_id, lease_token) }),
    concurrency: 10,
    handler: (_task, { leaseToken }) => ({ output: leaseToken }),
  });

  /** Again and again; what a dead server did not answer is not known. */
  const again = async (act: () => Promise<void>) => {
    while (!signal.aborted) await act().catch(() => pause(5));
  };
  const createBySdk = async () => {
    const draft = aDraft('sdk');
    const { task_id } = await client.tasks.create(draft, { signal });
    wasCreated(task_id, draft.prompt);
  };
  const createManyBySdk = async () => {
    const drafts = Array.from({ length: 5 }, () => aDraft('sdk-batch'));
    const { tasks } = await client.tasks.createMany({ tasks: drafts }, { signal });
    for (const [index, { prompt }] of drafts.entries()) wasCreated(tasks[index]?.task_id ?? '', prompt);
  };
  const createByRest = async () => {
    const draft = aDraft('rest');
    const { status, body } = await server.request<Task>('POST', '/api/v1/tasks', draft, signal);
    if (status === 200) wasCreated(body.data.task_id, draft.prompt);
  };
  const createManyByRest = async () => {
    const drafts = Array.from({ length: 5 }, () => aDraft('rest-batch'));
    const batch = { tasks: drafts };
    const { status, body } = await server.request<{ tasks: Task[] }>('POST', '/api/v1/tasks/batch', batch, signal);
    if (status !== 200) return;
    for (const [index, { prompt }] of drafts.entries()) wasCreated(body.data.tasks[index]?.task_id ?? '', prompt);
  };
  const workByRest = async () => {
    const wanted = { worker_id: 'rest', limit: 5, wait_seconds: 1 };
    const { body } = await server.request<Acquired>('POST', '/api/v1/tasks/acquire', wanted, signal);
    await Promise.all(
      body.data.tasks.map(async ({ task_id, lease_token }) => {
        const completion = { lease_token, result: { output: lease_token } };
        const { status } = await server.request('POST', `/api/v1/tasks/${task_id}/complete`, completion, signal);
        if (status === 200) wasCompleted(task_id, lease_token);
      }),
    );
  };

  const running = [
    worker.run(),
    ...[
      createBySdk,
      createBySdk,
      createManyBySdk,
      createByRest,
      createByRest,
      createManyByRest,
      workByRest,
      workByRest,
    ].map(again),
  ];
  return {
    created,
    completed,
    prompts,
    /** Resolves some milliseconds after the next acknowledgement. */
    async goesOnFor(ms: number) {
      const before = acknowledged;
      await until('the next acknowledgement', () => acknowledged > before, { everyMs: 1 });
      await pause(ms);
    },
    async stop() {
      stopping.abort();
      await worker.stop({ timeoutSeconds: 1 });
      await Promise.all(running);
    },
  };
}
