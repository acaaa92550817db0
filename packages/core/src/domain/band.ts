/**
 * SQLite's indexes of directories are cut into bands of 1,024 tasks that were created one after the other (`seq >> 10` in the
 * migration), so that what is created or finished together lies on a few pages.
 */
export const BAND_BITS = 10;

/**
 * The band in which a waiting task stands in the order of its creation. Infinity for one that became due later than it was
 * created (`run_at` differs): its order is that of `run_at`, and all of those have one index.
 */
export function bandOf(task: { readonly seq: number; readonly run_at: number; readonly created_at: number }): number {
  return isDueSinceCreation(task) ? Math.floor(task.seq / 2 ** BAND_BITS) : Infinity;
}

export function isDueSinceCreation(task: { readonly run_at: number; readonly created_at: number }): boolean {
  return task.run_at === task.created_at;
}
