import { CompiledQuery } from 'kysely';
import type { EventHorizon } from '../engine.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { APPLICATION_NAME } from './postgres-pool.ts';

/** A transaction that is under way for longer is looked at: is it one of ours at all? */
const LOOK_AFTER_MS = 1_000;
/** While a transaction is under way for long, what was drawn meanwhile is settled with it. */
const MAX_MARKS = 100;

/** Every transaction that drew an event number up to `seq` has a number of its own below `next`. */
interface Mark {
  readonly seq: number;
  readonly next: number;
}

/**
 * Up to which number events are settled. Numbers are drawn in order and committed out of order: a number is settled
 * when every transaction has ended that was under way when it had been drawn. They are drawn late in a transaction,
 * after what it depends on was committed and after its own first write, so their order is that of causes and effects.
 */
export class EventHorizons {
  /** Of every number that may have been drawn when it was made, oldest first. */
  #marks: Mark[] = [];
  #settled = 0;
  #heldBy: { oldest: number; since: number } | null = null;

  async read(connection: PostgresConnection): Promise<EventHorizon> {
    // The event number first: whoever has drawn it had a transaction number by then.
    const [[drawn], [running]] = await Promise.all([connection.all(LAST_DRAWN), connection.all(RUNNING)]);
    const { seq } = drawn!;
    const { oldest, next } = running!;
    // Of reads that overlap, an older one may come in later.
    const isNewest = next >= (this.#marks.at(-1)?.next ?? 0);
    if (isNewest && this.#marks.length < MAX_MARKS) this.#marks.push({ seq, next });
    this.#settle(oldest);
    if (this.#isHeldFor(running!)) {
      const [ours] = await connection.all(OUR_OLDEST);
      this.#settle(ours!.oldest);
    }
    return { settled: this.#settled, drawn: seq };
  }

  #settle(oldest: number): void {
    const settled = this.#marks.findLastIndex(({ next }) => next <= oldest);
    if (settled < 0) return;
    this.#settled = Math.max(this.#settled, this.#marks[settled]!.seq);
    this.#marks = this.#marks.slice(settled + 1);
  }

  #isHeldFor({ oldest, next }: { oldest: number; next: number }): boolean {
    if (oldest === next) this.#heldBy = null;
    else if (this.#heldBy?.oldest !== oldest) this.#heldBy = { oldest, since: performance.now() };
    return this.#heldBy !== null && performance.now() - this.#heldBy.since > LOOK_AFTER_MS;
  }
}

const LAST_DRAWN = CompiledQuery.raw(
  `SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('events', 'seq')::regclass), 0) AS seq`,
) as CompiledQuery<{ seq: number }>;

/**
 * The oldest transaction under way, and the number that the next one will get; both the same when there is none. The
 * `xmax` of a snapshot is not that number: it is one more than that of the latest transaction that has ended.
 */
const NUMBERS = `
  SELECT oldest::text::bigint AS oldest, oldest::text::bigint + age(oldest::xid) AS next
  FROM pg_snapshot_xmin(pg_current_snapshot()) AS oldest`;

const RUNNING = CompiledQuery.raw(NUMBERS) as CompiledQuery<{ oldest: number; next: number }>;

/**
 * A report or a backup, anywhere in the cluster, must not stop the streams for as long as it takes. Leaves out
 * transactions that are known to write no events: of other databases, of sessions with another name (where we may see
 * the name), of the autovacuum. One that cannot be told, a prepared one for example, counts.
 */
const OUR_OLDEST = CompiledQuery.raw(`
  WITH numbers AS MATERIALIZED (${NUMBERS})
  SELECT coalesce(
    (
      SELECT min(next - age(transactionid)) FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
        AND (datname <> current_database() OR backend_type = 'autovacuum worker'
          OR (pg_has_role(usesysid, 'USAGE') AND application_name <> '${APPLICATION_NAME}')) IS NOT TRUE
    ),
    next
  ) AS oldest
  FROM numbers`) as CompiledQuery<{ oldest: number }>;
