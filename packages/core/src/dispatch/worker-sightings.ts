import type { WorkerSighting } from '../repository/workers.ts';

/** When workers were seen since the last write: kept in memory, so that a poll that finds nothing costs no commit. */
export class WorkerSightings {
  #byWorker = new Map<string, { last_acquire_at: number | null; last_heartbeat_at: number | null }>();

  sawAcquire(workerId: string, now: number): void {
    this.#sighting(workerId).last_acquire_at = now;
  }

  sawHeartbeat(workerId: string, now: number): void {
    this.#sighting(workerId).last_heartbeat_at = now;
  }

  takeAll(): WorkerSighting[] {
    const sightings = [...this.#byWorker].map(([worker_id, sighting]) => ({ worker_id, ...sighting }));
    this.#byWorker = new Map();
    return sightings;
  }

  /** What could not be written; whoever was seen again meanwhile stands as it is. */
  putBack(sightings: readonly WorkerSighting[]): void {
    for (const { worker_id, last_acquire_at, last_heartbeat_at } of sightings) {
      const sighting = this.#sighting(worker_id);
      sighting.last_acquire_at ??= last_acquire_at;
      sighting.last_heartbeat_at ??= last_heartbeat_at;
    }
  }

  #sighting(workerId: string): { last_acquire_at: number | null; last_heartbeat_at: number | null } {
    let sighting = this.#byWorker.get(workerId);
    if (!sighting) {
      sighting = { last_acquire_at: null, last_heartbeat_at: null };
      this.#byWorker.set(workerId, sighting);
    }
    return sighting;
  }
}
