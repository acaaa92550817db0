import { EventType, TaskStatus } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import {
  canTransition,
  FINISHED,
  isFinished,
  refuseLease,
  refuseStatus,
  refuseUnknown,
  TRANSITIONS,
} from './task-state.ts';

test('every event has its place in the table, and leads only to states there are', () => {
  expect(Object.keys(TRANSITIONS).toSorted()).toEqual([...EventType.options].toSorted());
  for (const { from, to } of Object.values(TRANSITIONS))
    for (const status of [...from, ...to]) expect(TaskStatus.options).toContain(status);
});

test('what has completed stays completed; what has failed or was cancelled comes back by a retry alone', () => {
  const waysOut = (from: TaskStatus): EventType[] => EventType.options.filter((type) => canTransition(type, from));
  expect(waysOut('completed')).toEqual([]);
  expect(waysOut('failed')).toEqual(['retried']);
  expect(waysOut('cancelled')).toEqual(['retried']);
  expect(FINISHED.every(isFinished)).toBe(true);
});

test('only a waiting task can be acquired, and every state that is not an end has a way to one', () => {
  expect(TRANSITIONS.acquired.from).toEqual(['waiting']);
  for (const status of TaskStatus.options) expect(isFinished(status) || canTransition('cancelled', status)).toBe(true);
});

test('a refusal names the task, its state and what is allowed', () => {
  const refusal = refuseStatus('0192', 'completed', 'completed');
  expect(refusal).toMatchObject({
    code: 'STATUS_CONFLICT',
    message: 'task 0192 is completed; only working tasks can be completed',
    details: { task_id: '0192', status: 'completed', allowed: ['working'] },
  });
  expect(refuseStatus('0192', 'working', 'retried').message).toBe(
    'task 0192 is working; only failed and cancelled tasks can be retried',
  );
  expect(refuseLease('0192', 'waiting')).toMatchObject({ code: 'LEASE_LOST', details: { status: 'waiting' } });
  expect(refuseUnknown('0192')).toMatchObject({ code: 'TASK_NOT_FOUND', message: 'there is no task 0192' });
});
