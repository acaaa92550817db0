import { CompiledQuery } from 'kysely';
import { EVENT_ORIGIN, type EventPosition } from '../event-position.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { APPLICATION_NAME } from './postgres-pool.ts';

/** A transaction that is under way for longer is looked at: is it one of ours at all? */
const LOOK_AFTER_MS = 1_000;

/**
 * Up to where the order of events is settled: the newest event older than every transaction under way. Sequence numbers
 * are given out before they are committed, and not in that order, but no transaction can still come in below this.
 */
export class EventHorizon {
  #heldBy: { xmin: number; since: number } | null = null;

  async read(connection: PostgresConnection): Promise<EventPosition> {
    const [newest] = await connection.all(NEWEST_SETTLED);
    const { xmin, is_held, ...position } = newest!;
    if (!is_held) this.#heldBy = null;
    else if (this.#heldBy?.xmin !== xmin) this.#heldBy = { xmin, since: performance.now() };
    else if (performance.now() - this.#heldBy.since > LOOK_AFTER_MS) return this.#readPastStrangers(connection);
    return toPosition(position);
  }

  /** A report or a backup, anywhere in the cluster, must not stop the streams for as long as it takes. */
  async #readPastStrangers(connection: PostgresConnection): Promise<EventPosition> {
    const [newest] = await connection.all(NEWEST_BEFORE_OURS);
    return toPosition(newest!);
  }
}

type MaybePosition = { txid: number | null; seq: number | null };

function toPosition({ txid, seq }: MaybePosition): EventPosition {
  return txid === null || seq === null ? EVENT_ORIGIN : { txid, seq };
}

const NEWEST = `
  SELECT floor.*, newest.txid, newest.seq FROM floor LEFT JOIN LATERAL (
    SELECT txid, seq FROM events WHERE txid < floor.xmin ORDER BY txid DESC, seq DESC LIMIT 1
  ) AS newest ON true`;

const NEWEST_SETTLED = CompiledQuery.raw(`
  WITH floor AS MATERIALIZED (
    SELECT pg_snapshot_xmin(snapshot)::text::bigint AS xmin, pg_snapshot_xmin(snapshot) < pg_snapshot_xmax(snapshot) AS is_held
    FROM pg_current_snapshot() AS snapshot
  ) ${NEWEST}`) as CompiledQuery<{ xmin: number; is_held: boolean } & MaybePosition>;

/**
 * Leaves out transactions under way that are known to write no events: of other databases, of sessions with another
 * name (where we may see the name), of the autovacuum. One that cannot be told, a prepared one for example, counts.
 */
const NEWEST_BEFORE_OURS = CompiledQuery.raw(`
  WITH floor AS MATERIALIZED (
    SELECT coalesce(
      (
        SELECT xid FROM pg_snapshot_xip(snapshot) AS xid WHERE NOT EXISTS (
          SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
          WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND transactionid = xid::xid
            AND (datname <> current_database() OR backend_type = 'autovacuum worker'
              OR (pg_has_role(usesysid, 'USAGE') AND application_name <> '${APPLICATION_NAME}'))
        )
        ORDER BY xid LIMIT 1
      ),
      pg_snapshot_xmax(snapshot)
    )::text::bigint AS xmin
    FROM pg_current_snapshot() AS snapshot
  ) ${NEWEST}`) as CompiledQuery<{ xmin: number } & MaybePosition>;
