import { createClient, Worker, type AcquiredTask, type Input } from '@task-orchestrator/client';
import type { Payload, Queue } from './queue.ts';

/** The service through its SDK, as a producer and a worker would use it. */
export function open(config: { url: string; apiKey: string; prefetch?: number }): Queue {
  const { url, apiKey, prefetch = 0 } = config;
  const client = createClient({ url, apiKey });
  return {
    add: (payload) => client.tasks.create(toInput(payload)),
    addMany: (payloads) => client.tasks.createMany({ tasks: payloads.map(toInput) }),
    async work({ concurrency, onStart, onDone }) {
      const worker = new Worker({
        client: createClient({ url, apiKey }),
        concurrency,
        prefetch,
        handler(task) {
          onStart(toPayload(task));
          onDone();
        },
        onError: (error, { doing }) => console.error(doing, error),
      });
      void worker.run();
    },
    async remaining() {
      const { tasks } = await client.stats.get();
      return tasks.waiting + tasks.working;
    },
  };
}

function toInput({ work_directory, prompt, ...metadata }: Payload): Input<'tasks', 'create'> {
  return { work_directory, prompt, metadata };
}

/** The inverse of `toInput`. */
function toPayload({ work_directory, prompt, metadata }: AcquiredTask): Payload {
  return { work_directory, prompt, ...(metadata as Pick<Payload, 'priority' | 'seq'>) };
}
