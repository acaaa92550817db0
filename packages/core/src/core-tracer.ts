/** Something of a caller that is being traced; what it is only the tracer knows. */
export type TracedCaller = object;

/**
 * Follows work through the core. There is one only when tracing is switched on: without it nothing is measured.
 */
export interface CoreTracer {
  /** Whose work is going on at this moment; undefined when it is not traced. */
  caller(): TracedCaller | undefined;
  /**
   * Runs the transaction of a commit and answers what it answers.
   * @param commit.callers of the calls that share it, as `caller` gave them: undefined for a call that is not traced
   */
  commit<T>(commit: { callers: readonly (TracedCaller | undefined)[] }, work: () => Promise<T>): Promise<T>;
  /**
   * The database has answered a statement, well or not.
   * @param statement.text with placeholders in the place of values
   * @param statement.startedAt monotonic milliseconds
   */
  statement(statement: { text: string; startedAt: number }): void;
}
