// One request every 20 ms to an HTTP server that is otherwise idle: paced-http.ts <url>. Prints how long the answers take.
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './main.ts';
import { aPayload } from './queue.ts';

const WARM_UP = 600;
const COUNT = 300;
const EVERY_MS = 20;
const agent = new Agent({ keepAlive: true });

async function post(url: string, body: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const [response] = (await once(request(url, { method: 'POST', agent, headers }).end(body), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  await once(response, 'end');
}

const url = process.argv[2] ?? '';
const latencies: number[] = [];
for (let index = 0; index < WARM_UP + COUNT; index++) {
  await sleep(EVERY_MS);
  const { work_directory, prompt, priority } = aPayload(index);
  const startedAt = performance.now();
  await post(url, JSON.stringify({ work_directory, prompt, metadata: { priority } }));
  if (index >= WARM_UP) latencies.push(performance.now() - startedAt);
}
latencies.sort((a, b) => a - b);
const values = { paced_p50_ms: quantile(latencies, 0.5), paced_p99_ms: quantile(latencies, 0.99) };
process.stdout.write(`@@${JSON.stringify(values)}\n`);
agent.destroy();
