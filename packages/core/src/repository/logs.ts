import type { AppendLogInput, AppendLogOutput, LogsInput, LogsOutput } from '@task-orchestrator/contract';
import type { z } from 'zod';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement, type Querier, type Row } from '../db/engine.ts';
import { refuseLease } from '../domain/task-state.ts';
import type { Cipher } from '../encryption/cipher.ts';
import { readCursor } from './cursor.ts';
import { hasLease } from './heartbeat.ts';
import { decideEach, lockTasks } from './load-tasks.ts';
import { findTaskSeq } from './read-events.ts';
import { toIso, type ControlRow } from './task-row.ts';

const logsOfTask = defineStatement<
  [task_seq: number, after: number, limit: number],
  Row<'task_logs'> & { seq: number }
>((kysely, arg) =>
  kysely
    .selectFrom('task_logs')
    .select(['seq', 'task_seq', 'at', 'attempt', 'stream', 'text'])
    .where('task_seq', '=', arg(0))
    .where('seq', '>', arg(1))
    .orderBy('seq')
    .limit(arg(2)),
);

/** What an entry takes beside its text, so that empty lines count too. */
const ENTRY_BYTES = 32;

/** Appends output of workers, up to the bound of each task; what comes after the cut is dropped, and the log says so. */
export const appendLogs = defineVerb<AppendLogInput, z.infer<typeof AppendLogOutput>>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const rows: Row<'task_logs'>[] = [];
    const outcomes = decideEach(items, tasks, (task, item) => {
      if (!hasLease(task, item.lease_token)) throw refuseLease(task.task_id, task.status);
      return appendLog(commit, task, item, rows);
    });
    await commit.tx.appendRows('task_logs', rows);
    return outcomes;
  },
});

function appendLog(
  commit: Commit,
  task: ControlRow,
  { entries }: AppendLogInput,
  rows: Row<'task_logs'>[],
): z.infer<typeof AppendLogOutput> {
  const limit = commit.policy.maxLogBytes;
  const entry = (at: number, stream: Row<'task_logs'>['stream'], text: string): Row<'task_logs'> => ({
    task_seq: task.seq,
    at,
    attempt: task.attempt,
    stream,
    text: commit.cipher.seal(text, task.task_id, logColumn({ at, attempt: task.attempt, stream })),
  });
  let bytes = task.log_bytes;
  let appended = 0;
  for (const { at, stream, text } of entries) {
    if (bytes > limit) break;
    bytes += Buffer.byteLength(text) + ENTRY_BYTES;
    if (bytes > limit) {
      rows.push(entry(commit.now, 'info', `[log cut: the task has reached its limit of ${limit} bytes]`));
      break;
    }
    rows.push(
      entry(at === undefined ? commit.now : Date.parse(at), stream, text.toWellFormed().replaceAll('\0', '\uFFFD')),
    );
    appended++;
  }
  if (bytes !== task.log_bytes) commit.update(task, { log_bytes: bytes });
  return { appended, truncated: bytes > limit };
}

/** What the text of a line is bound to beside its task: its number is given only when it is written. */
export function logColumn({ at, attempt, stream }: Pick<Row<'task_logs'>, 'at' | 'attempt' | 'stream'>): string {
  return `log ${attempt} ${at} ${stream}`;
}

/**
 * @param options.maxLogBytes the bound beyond which a log counts as cut
 * @throws UnreadableError
 */
export async function listLogs(
  reader: Querier,
  input: z.output<typeof LogsInput>,
  { cipher, maxLogBytes }: { cipher: Cipher; maxLogBytes: number },
): Promise<z.infer<typeof LogsOutput>> {
  const { seq, log_bytes } = await findTaskSeq(reader, input.task_id);
  const after = input.cursor === undefined ? 0 : readCursor(input.cursor);
  const rows = await reader.all(logsOfTask, [seq, after, input.limit + 1]);
  const entries = rows.slice(0, input.limit).map(({ seq, at, attempt, stream, text }) => ({
    seq,
    at: toIso(at),
    attempt,
    stream,
    text: cipher.open(text, input.task_id, logColumn({ at, attempt, stream })),
  }));
  const next_cursor = rows.length > input.limit ? String(entries.at(-1)!.seq) : null;
  return { entries, truncated: log_bytes > maxLogBytes, next_cursor };
}
