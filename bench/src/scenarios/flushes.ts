import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withStore, type Bench } from '../bench.ts';
import type { System } from '../systems.ts';

const ENQUEUES = 100;
const FLUSHES = ['fsync', 'fdatasync', 'sync_file_range', 'msync'];
const FLUSH = new RegExp(`(?:${FLUSHES.join('|')})(?:\\(| resumed)[^=]*= 0`);
const REPLY = /\b(?:write|writev|sendto|sendmsg)\(.*HTTP\/1\.1 200/;

/** S: what the process that stores does on disk while enqueues are acknowledged one after the other. Once, not in rounds. */
export async function countFlushes(bench: Bench, system: System): Promise<void> {
  const trace = join(bench.options.dir, `torc-bench-trace-${process.pid}`);
  // PostgreSQL, traced, runs as another user.
  writeFileSync(trace, '');
  chmodSync(trace, 0o666);
  // Replies are watched for ours only: the others speak other protocols.
  const calls = [...FLUSHES, ...(system.server === 'ours' ? ['write', 'writev', 'sendto', 'sendmsg'] : [])];
  const prefix = ['strace', '-f', '-qq', '-e', `trace=${calls.join(',')}`, '-o', trace];
  const linesSoFar = () => readFileSync(trace, 'utf8').split('\n').length - 1;
  try {
    await withStore(
      bench,
      system,
      async (store) => {
        const load = store.startLoad({ action: 'acknowledge', count: ENQUEUES });
        await load.next();
        const from = linesSoFar();
        const { ms = NaN } = await load.next();
        const lines = readFileSync(trace, 'utf8').split('\n').slice(from);
        await load.ended;
        const flushes = lines.filter((line) => FLUSH.test(line)).length;
        const unflushed = system.server === 'ours' ? { replies_before_flush: countUnflushedReplies(lines) } : {};
        bench.add(system.id, 'S', { enqueues: ENQUEUES, flushes, ms_per_enqueue: ms / ENQUEUES, ...unflushed });
      },
      { prefix },
    );
  } finally {
    rmSync(trace, { force: true });
  }
}

/** Replies that left although nothing had been flushed since the reply before. */
function countUnflushedReplies(lines: readonly string[]): number {
  let hasFlushed = false;
  let unflushed = 0;
  for (const line of lines) {
    if (FLUSH.test(line)) hasFlushed = true;
    else if (REPLY.test(line)) {
      if (!hasFlushed) unflushed++;
      hasFlushed = false;
    }
  }
  return unflushed;
}
