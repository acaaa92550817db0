// Submits a task and waits for its outcome: node --conditions=to-source examples/submit.ts 'what to do' [directory]
import { createClient } from '@task-orchestrator/client';

const { TORC_URL = 'http://localhost:8080', TORC_API_KEY } = process.env;
const [prompt = 'Say hello', work_directory = '/srv/repo'] = process.argv.slice(2);

const client = createClient({ url: TORC_URL, apiKey: TORC_API_KEY });
const { task_id } = await client.tasks.create({ work_directory, prompt, tags: ['example'] });
console.log(`submitted ${task_id}`);

const { done, finished } = await client.tasks.waitFor([task_id], { timeoutSeconds: 60 });
const [outcome] = finished;
console.log(
  outcome ? `${outcome.status}: ${JSON.stringify(outcome.result?.output ?? outcome.error)}` : 'still under way',
);
process.exitCode = done && outcome?.status === 'completed' ? 0 : 1;
