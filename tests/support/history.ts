import type { Client, EventType, TaskEvent } from '@task-orchestrator/client';

/** Every event there is, in the order of the service. */
export async function readHistory(client: Client): Promise<TaskEvent[]> {
  // What comes before this task is all that there is to read.
  const marker = await client.tasks.create({ work_directory: '/end-of-history', prompt: 'marks where the log ends' });
  const events: TaskEvent[] = [];
  for await (const event of client.events.stream({ last_event_id: '0' })) {
    if (event.task_id === marker.task_id) break;
    events.push(event);
  }
  return events;
}

export function groupByTask(events: readonly TaskEvent[]): Map<string, TaskEvent[]> {
  return Map.groupBy(events, ({ task_id }) => task_id);
}

export function ofType(events: readonly TaskEvent[], type: EventType): TaskEvent[] {
  return events.filter((event) => event.type === type);
}
