// Single requests to an HTTP server that is otherwise idle: paced-http.ts <url> <milliseconds between them>. Prints @@{} once both
// have been at work for a while, and how long the answers after that took.
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './main.ts';
import { aPayload } from './queue.ts';

const WARM_UP = 600;
const COUNT = 300;
const agent = new Agent({ keepAlive: true });

async function post(url: string, body: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const [response] = (await once(request(url, { method: 'POST', agent, headers }).end(body), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  await once(response, 'end');
}

const [, , url = '', everyMs] = process.argv;
const latencies: number[] = [];
for (let index = 0; index < WARM_UP + COUNT; index++) {
  if (index === WARM_UP) process.stdout.write('@@{}\n');
  await sleep(Number(everyMs));
  const { work_directory, prompt, priority } = aPayload(index);
  const startedAt = performance.now();
  await post(url, JSON.stringify({ work_directory, prompt, metadata: { priority } }));
  if (index >= WARM_UP) latencies.push(performance.now() - startedAt);
}
latencies.sort((a, b) => a - b);
const values = { p50_ms: quantile(latencies, 0.5), p99_ms: quantile(latencies, 0.99) };
process.stdout.write(`@@${JSON.stringify(values)}\n`);
agent.destroy();
