import type { Agent } from './agents.ts';

/**
 * An agent as simple as they come. It knows what the server says of itself, finds the tools by their names in the
 * instructions, and follows the loop that stands there.
 * @returns ids of the tasks it has completed.
 */
export async function workTheQueue(
  agent: Agent,
  workPath: string,
  options: { worker_id?: string } = {},
): Promise<string[]> {
  const loop = /TO WORK: loop\n1\. (\w+) .*\n2\. .*\n3\. (\w+) /.exec(agent.instructions ?? '');
  const [, acquire = '', complete = ''] = loop ?? [];
  const tools = new Set((await agent.listTools()).map(({ name }) => name));
  if (!tools.has(acquire) || !tools.has(complete)) throw new Error('the instructions name tools that there are not');
  const done: string[] = [];
  for (;;) {
    const { value, isError, text } = await agent.call(acquire, { work_path: workPath, subtree: true, ...options });
    if (isError) throw new Error(text);
    if (value.task === null) {
      if (value.reason === 'empty') return done;
      continue;
    }
    const { task_id, prompt } = value.task;
    const handedIn = await agent.call(complete, { task_id, lease_token: value.lease_token, output: `did: ${prompt}` });
    if (handedIn.isError) throw new Error(handedIn.text);
    done.push(task_id);
  }
}
