/** What is enqueued, by every system: `priority` is data, no system's priorities are used. */
export interface Payload {
  readonly work_directory: string;
  readonly prompt: string;
  readonly priority: number;
  readonly seq?: number;
}

/** A system as the load process sees it. */
export interface Queue {
  /** Resolves with the acknowledgement. */
  add(payload: Payload): Promise<unknown>;
  addMany(payloads: readonly Payload[]): Promise<unknown>;
  /** The fastest way to build a backlog that is not measured; `addMany` when absent. */
  fill?(payloads: readonly Payload[]): Promise<unknown>;
  /** After a backlog was built. */
  afterFill?(): Promise<unknown>;
  work(worker: {
    readonly concurrency: number;
    readonly onStart: (payload: Payload) => void;
    readonly onDone: () => void;
  }): Promise<unknown>;
  /** Tasks that wait or are being worked on, as the store itself says. */
  remaining(): Promise<number>;
}

const PROMPT =
  'Review the open pull request, run the test suite, fix whatever fails, and write a short summary of ' +
  'what changed and why for the maintainers; keep the diff small, follow the style guide, and stop if unsure.';

export const DIRECTORIES = 500;

export function aPayload(index: number): Payload {
  return { work_directory: `/srv/repo-${index % DIRECTORIES}`, prompt: PROMPT, priority: index % 5 };
}

export function somePayloads(from: number, count: number): Payload[] {
  return Array.from({ length: count }, (_, index) => aPayload(from + index));
}
