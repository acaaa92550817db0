import type { ChildProcess } from 'node:child_process';
import type { Client } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import type { Command, CommandedWorkerMessage, CommandedWorkerOptions } from './support/commanded-worker.ts';
import { startNode } from './support/processes.ts';
import { API_KEY, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const COMMANDS = ['heartbeat', 'progress', 'log', 'complete', 'fail', 'release'] as const;

test('a worker that was paused past its lease can change nothing of a task that another one works on', async () => {
  const server = await ServerProcess.start();
  const client = server.client();
  const { task_id } = await client.tasks.create({ work_directory: '/zombie', prompt: 'hold on' });

  const zombie = startWorker(server, { workerId: 'zombie', leaseSeconds: 1 });
  await zombie.untilBegun();
  expect(await zombie.obey('log')).toBeNull();
  zombie.signal('SIGSTOP');
  await until('the end of the lease', async () => (await client.tasks.get({ task_id })).status === 'waiting');
  // Its heartbeats are farther apart than this test is long, so that nothing but the zombie could change the task.
  const successor = startWorker(server, { workerId: 'successor', leaseSeconds: 600 });
  await successor.untilBegun();
  expect(await successor.obey('progress')).toBeNull();
  expect(await successor.obey('log')).toBeNull();

  const before = await readState(client, task_id);
  expect(before.task).toMatchObject({ status: 'working', worker_id: 'successor', attempt: 2, lease_epoch: 2 });
  zombie.signal('SIGCONT');
  await until('the abort of the handler', () => zombie.abortReason !== null);
  expect(zombie.abortReason).toBe('LeaseLostError');
  for (const command of COMMANDS) expect([command, await zombie.obey(command)]).toEqual([command, 'LEASE_LOST']);
  expect(await readState(client, task_id)).toEqual(before);

  expect(await successor.obey('complete')).toBeNull();
  const after = await readState(client, task_id);
  expect(after.task).toMatchObject({ status: 'completed', result: { output: 'done by successor' } });
  for (const command of COMMANDS) expect([command, await zombie.obey(command)]).toEqual([command, 'LEASE_LOST']);
  expect(await readState(client, task_id)).toEqual(after);
});

test('a worker that was paused past its lease may still complete what nobody else has taken', async () => {
  const server = await ServerProcess.start();
  const client = server.client();
  const { task_id } = await client.tasks.create({ work_directory: '/zombie', prompt: 'hold on' });
  const zombie = startWorker(server, { workerId: 'zombie', leaseSeconds: 1 });
  await zombie.untilBegun();
  zombie.signal('SIGSTOP');
  await until('the end of the lease', async () => (await client.tasks.get({ task_id })).status === 'waiting');
  zombie.signal('SIGCONT');

  for (const command of ['heartbeat', 'progress', 'log', 'fail', 'release'] as const) {
    expect([command, await zombie.obey(command)]).toEqual([command, 'LEASE_LOST']);
  }
  await expect(client.tasks.get({ task_id })).resolves.toMatchObject({ status: 'waiting', attempt: 1, progress: null });
  expect(await zombie.obey('complete')).toBeNull();
  // Again, as after a lost answer.
  expect(await zombie.obey('complete')).toBeNull();
  const { task, events } = await readState(client, task_id);
  expect(task).toMatchObject({ status: 'completed', attempt: 1, result: { output: 'done by zombie' } });
  expect(events.map(({ type }) => type)).toEqual(['created', 'acquired', 'lease_lost', 'completed']);
});

/** All that is known of a task. */
async function readState(client: Client, task_id: string) {
  const [task, { entries }, { events }] = await Promise.all([
    client.tasks.get({ task_id }),
    client.tasks.logs({ task_id }),
    client.tasks.events({ task_id }),
  ]);
  return { task, entries, events };
}

function startWorker({ url }: ServerProcess, options: Pick<CommandedWorkerOptions, 'workerId' | 'leaseSeconds'>) {
  return new CommandedWorker(
    startNode('tests/support/commanded-worker.ts', [JSON.stringify({ url, apiKey: API_KEY, ...options })], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  );
}

class CommandedWorker {
  abortReason: string | null = null;
  readonly #child: ChildProcess;
  #hasBegun = false;
  #answer: { command: Command; code: string | null } | null = null;

  constructor(child: ChildProcess) {
    this.#child = child.on('message', (message: CommandedWorkerMessage) => this.#hear(message));
  }

  untilBegun(): Promise<unknown> {
    return until('the start of the handler', () => this.#hasBegun);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Has the worker make a call, and answers the code of its refusal; null when it was done. */
  async obey(command: Command): Promise<string | null> {
    this.#answer = null;
    this.#child.send(command);
    const { code } = await until(`an answer to ${command}`, () => this.#answer);
    return code;
  }

  #hear(message: CommandedWorkerMessage): void {
    switch (message.type) {
      case 'began':
        this.#hasBegun = true;
        return;
      case 'aborted':
        this.abortReason = message.reason;
        return;
      case 'answered':
        this.#answer = message;
        return;
    }
  }
}
