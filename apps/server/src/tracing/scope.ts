import type { AsyncLocalStorage } from 'node:async_hooks';
import { ROOT_CONTEXT, SpanKind, trace, type Context, type Span, type Tracer } from '@opentelemetry/api';

/** Statements that a scope keeps; a span each would drown the trace of a large batch. */
const MAX_STATEMENTS = 100;

interface Executions {
  readonly text: string;
  readonly startedAt: number;
  endedAt: number;
  count: number;
}

/** What spans are made with. */
export interface Recorder {
  readonly tracer: Tracer;
  /** What is going on at this moment, across all that is waited for. */
  readonly scopes: AsyncLocalStorage<Scope | undefined>;
  /** As in `db.system.name`. */
  readonly databaseName: string;
}

/** A span, and the statements of the database that run for its sake. Times are monotonic milliseconds. */
export class Scope {
  readonly span: Span;
  readonly #recorder: Recorder;
  #isOpen = true;
  readonly #statements: Executions[] = [];

  constructor(span: Span, recorder: Recorder) {
    this.span = span;
    this.#recorder = recorder;
  }

  /** Whether what is done now is to be told of: it may go on after the end, in timers that it has set. */
  get isRecording(): boolean {
    return this.#isOpen && this.span.isRecording();
  }

  get context(): Context {
    return trace.setSpan(ROOT_CONTEXT, this.span);
  }

  /** The same statement again and again, row by row, is one entry. */
  addStatement(text: string, startedAt: number, endedAt: number): void {
    if (!this.isRecording) return;
    const last = this.#statements.at(-1);
    if (last?.text === text) {
      last.endedAt = endedAt;
      last.count += 1;
    } else if (this.#statements.length < MAX_STATEMENTS) {
      this.#statements.push({ text, startedAt, endedAt, count: 1 });
    }
  }

  end(): void {
    const { tracer, databaseName } = this.#recorder;
    this.#isOpen = false;
    const toEpoch = Date.now() - performance.now();
    for (const { text, startedAt, endedAt, count } of this.#statements) {
      const operation = text.slice(0, text.search(/\W|$/)).toUpperCase();
      const attributes = {
        'db.system.name': databaseName,
        'db.operation.name': operation,
        'db.query.text': text,
        ...(count > 1 && { 'db.operation.batch.size': count }),
      };
      const options = { kind: SpanKind.CLIENT, attributes, startTime: startedAt + toEpoch };
      tracer.startSpan(operation, options, this.context).end(endedAt + toEpoch);
    }
    this.span.end();
  }
}
