// Four tasks that depend on each other, in one request: node --conditions=to-source examples/dag.ts
import { createClient, Worker } from '@task-orchestrator/client';

const { TORC_URL = 'http://localhost:8080', TORC_API_KEY } = process.env;
const work_directory = '/examples/dag';
const client = createClient({ url: TORC_URL, apiKey: TORC_API_KEY });

// `ref` names a task inside the request. All four tasks are created, or none.
//          ┌─► lint ─┐
// install ─┤         ├─► publish
//          └─► test ─┘
const { tasks } = await client.tasks.createMany({
  tasks: [
    { ref: 'publish', work_directory, prompt: 'publish', depends_on: ['lint', 'test'] },
    { ref: 'lint', work_directory, prompt: 'lint', depends_on: ['install'] },
    { ref: 'test', work_directory, prompt: 'test', depends_on: ['install'] },
    { ref: 'install', work_directory, prompt: 'install' },
  ],
});
for (const { ref, status } of tasks) console.log(`created ${ref}: ${status}`);

// A blocked task becomes ready in the commit that completes the last task it depends on.
const worker = new Worker({
  client,
  workPath: work_directory,
  concurrency: 2,
  handler: (task) => {
    console.log(`running ${task.prompt}`);
    return { output: `${task.prompt} done` };
  },
});
void worker.run();

const { finished } = await client.tasks.waitFor(tasks.map(({ task_id }) => task_id));
await worker.stop();
const completed = finished.filter(({ status }) => status === 'completed').length;
console.log(`${completed} of ${tasks.length} tasks completed`);
