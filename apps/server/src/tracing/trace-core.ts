import { isOutage, type CoreTracer } from '@task-orchestrator/core';
import { SpanStatusCode } from '@opentelemetry/api';
import { Scope, type Recorder } from './scope.ts';

/**
 * A commit serves many requests. Its span stands in the trace of the first one that is traced, has a link to each of the
 * others, and each of them has one to it. Commits that serve no traced request are left out.
 */
export function createCoreTracer(recorder: Recorder): CoreTracer {
  const { tracer, scopes } = recorder;

  return {
    caller() {
      const scope = scopes.getStore();
      return scope?.isRecording === true ? scope : undefined;
    },

    commit({ callers }, work) {
      const [first, ...others] = new Set(callers.filter(isScope));
      // In no scope at all: else it would be in that of whoever happened to start it.
      if (!first) return scopes.run(undefined, work);
      const links = others.map(({ span }) => ({ context: span.spanContext() }));
      const attributes = { 'task_orchestrator.commit.batch_size': callers.length };
      const scope = new Scope(tracer.startSpan('commit', { attributes, links }, first.context), recorder);
      for (const { span } of others) span.addLink({ context: scope.span.spanContext() });
      return scopes.run(scope, () => run(scope, work));
    },

    statement({ text, startedAt }) {
      scopes.getStore()?.addStatement(text, startedAt, performance.now());
    },
  };

  async function run<T>(scope: Scope, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      scope.span.setAttribute('error.type', isOutage(error) ? 'UNAVAILABLE' : nameOf(error));
      scope.span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      scope.end();
    }
  }
}

function isScope(caller: object | undefined): caller is Scope {
  return caller instanceof Scope;
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}
