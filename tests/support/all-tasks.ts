import type { Client, Task } from '@task-orchestrator/client';

/** Every task there is, by its id. */
export async function readTasks(client: Client): Promise<Map<string, Task>> {
  const tasks = new Map<string, Task>();
  let cursor: string | undefined;
  do {
    const page = await client.tasks.list({ limit: 500, cursor });
    for (const task of page.tasks) tasks.set(task.task_id, task);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return tasks;
}
