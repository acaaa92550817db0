import type { AcquiredTask, Client } from '@task-orchestrator/client';

/** Told of what a server has acknowledged to a worker, and of what it has refused. */
export interface AnswerRecorder {
  onAcquired?(tasks: readonly AcquiredTask[]): void;
  onRenewed?(lease: { lease_token: string; lease_expires_at: string }): void;
  onCompleted?(completion: { task_id: string; lease_token: string }): void;
  onRefused?(completion: { task_id: string; lease_token: string; code: string }): void;
}

/** The same client for a `Worker`, with somebody who writes down what it is answered. */
export function recordAnswers(client: Client, recorder: AnswerRecorder): Client {
  const { acquire, heartbeatMany, completeMany } = client.tasks;
  return {
    ...client,
    tasks: {
      ...client.tasks,
      async acquire(...args) {
        const answer = await acquire(...args);
        recorder.onAcquired?.(answer.tasks);
        return answer;
      },
      async heartbeatMany(...args) {
        const answer = await heartbeatMany(...args);
        for (const [index, { lease_token = '' }] of args[0].heartbeats.entries()) {
          const value = answer.results[index]?.value;
          if (value) recorder.onRenewed?.({ lease_token, lease_expires_at: value.lease_expires_at });
        }
        return answer;
      },
      async completeMany(...args) {
        const answer = await completeMany(...args);
        // A worker asks for refusals only: what is not among the results was done.
        const errors = new Map(answer.results.map(({ index, error }) => [index, error]));
        for (const [index, { task_id, lease_token = '' }] of args[0].completions.entries()) {
          const error = errors.get(index);
          if (error) recorder.onRefused?.({ task_id, lease_token, code: error.code });
          else recorder.onCompleted?.({ task_id, lease_token });
        }
        return answer;
      },
    },
  };
}
