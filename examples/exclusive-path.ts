// One task that wants a directory tree to itself: node --conditions=to-source examples/exclusive-path.ts
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, Worker } from '@task-orchestrator/client';

const { TORC_URL = 'http://localhost:8080', TORC_API_KEY } = process.env;
const root = '/examples/exclusive';
const client = createClient({ url: TORC_URL, apiKey: TORC_API_KEY });

// The packages may be worked on side by side. The rename touches all of them, so it must not meet anyone:
// `exclusive` keeps every other task off its directory, the directories above and those below.
const { tasks } = await client.tasks.createMany({
  tasks: [
    { work_directory: `${root}/packages/a`, prompt: 'fix a' },
    { work_directory: `${root}/packages/b`, prompt: 'fix b' },
    { work_directory: root, prompt: 'rename everywhere', exclusive: true },
    { work_directory: `${root}/packages/a`, prompt: 'document a' },
    { work_directory: `${root}/packages/b`, prompt: 'document b' },
  ],
});

const running = new Set<string>();
let wasRenameAlone = true;

// Four slots on the whole tree: what does not overlap runs at the same time.
const worker = new Worker({
  client,
  workPath: root,
  subtree: true,
  concurrency: 4,
  handler: async (task) => {
    running.add(task.prompt);
    console.log(`start ${task.prompt} (${running.size} at work)`);
    await sleep(300);
    if (running.has('rename everywhere') && running.size > 1) wasRenameAlone = false;
    running.delete(task.prompt);
  },
});
void worker.run();

await client.tasks.waitFor(tasks.map(({ task_id }) => task_id));
await worker.stop();
console.log(wasRenameAlone ? 'the exclusive task ran alone' : 'the exclusive task met another one');
process.exitCode = wasRenameAlone ? 0 : 1;
