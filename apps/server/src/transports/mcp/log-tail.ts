import type { Ask } from './ask.ts';

const PAGE = 1000;

/** The end of a task's log as text, at most `chars` of JSON. */
export async function readLogTail(ask: Ask, task_id: string, chars: number): Promise<string> {
  let text = '';
  let isCut = false;
  for (let cursor: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof ask<'tasks.logs'>>> = await ask('tasks.logs', {
      task_id,
      limit: PAGE,
      ...(cursor !== null && { cursor }),
    });
    text += page.entries.map(({ text }) => (text.endsWith('\n') ? text : `${text}\n`)).join('');
    isCut ||= text.length > chars;
    text = text.slice(-chars);
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  while (JSON.stringify(text).length > chars) {
    isCut = true;
    text = text.slice(Math.max(1, Math.ceil((JSON.stringify(text).length - chars) / 6)));
  }
  const tail = text.toWellFormed();
  return isCut ? `[CUT: only the end of the log; all of it is the resource task://${task_id}/logs]\n${tail}` : tail;
}
