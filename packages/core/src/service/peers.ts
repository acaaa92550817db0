import type { Notice } from '../db/engine.ts';
import { readPathSettings } from '../repository/paths.ts';
import { countTasks, waitingFlows } from '../repository/statistics.ts';
import { FINISHED } from '../domain/task-state.ts';
import type { Background } from '../dispatch/background.ts';
import type { CoreContext } from './context.ts';

/** Notices may be lost: every so often a server looks for itself at what the others have done. */
const REFRESH_MS = 5_000;
const RECOUNT_MS = 15_000;

/** Keeps what this server remembers in step with the other servers on its database. */
export function followPeers(context: CoreContext, background: Background): void {
  const { peers } = context.engine;
  if (peers === null) return;
  peers.subscribe((notice) => void background.run('notice of another server', () => applyNotice(context, notice)));
  background.every(REFRESH_MS, 'look at other servers', () => refresh(context));
  background.every(RECOUNT_MS, 'count of tasks', () => recount(context));
}

async function applyNotice(context: CoreContext, notice: Notice | null): Promise<void> {
  if (notice === null || notice.ready === null) await refresh(context);
  if (notice === null) return;
  if (notice.hasNewSettings) context.settings.replaceAll(await readPathSettings(context.engine.reader));
  const ready = new Map<string, number>();
  for (const [path, rank, runAt, count] of notice.ready ?? []) {
    context.turns.add(path, rank, runAt);
    ready.set(path, (ready.get(path) ?? 0) + count);
  }
  context.waiters.wakeForReady(ready);
  if (notice.hasFreed) context.waiters.wakeHeld();
  context.feed.publishTypes(notice.types);
  const hasEnded = FINISHED.some((type) => (notice.types as readonly string[]).includes(type));
  if (hasEnded) context.ends.publishAll();
}

async function refresh(context: CoreContext): Promise<void> {
  const { reader } = context.engine;
  context.settings.replaceAll(await readPathSettings(reader));
  for await (const flow of waitingFlows(context.engine))
    context.turns.add(flow.work_directory, flow.priority, flow.run_at);
  context.waiters.wakeAll();
  context.feed.publishAll();
  context.ends.publishAll();
}

export async function recount(context: CoreContext): Promise<void> {
  context.counts = await countTasks(context.engine.reader);
}
