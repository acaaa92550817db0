export const SCENARIOS = {
  S: 'flush calls per acknowledged enqueue (strace)',
  L: 'bare limits: node:http under wrk and at the pace of D, better-sqlite3 with 64 per commit',
  A: 'enqueue one at a time, 64 concurrent callers',
  B: 'enqueue 500 at a time, one caller',
  C: 'drain 20,000 no-op tasks, one worker process, concurrency 64',
  D: 'pickup latency on an idle system',
  E: 'the drain of C with 300,000 and with 1,000,000 waiting',
  G: 'raw REST and tRPC under wrk, 64 connections (ours)',
  H: 'cost of 1,000 idle long polls, and of 100 requests/s (ours)',
  I: 'restart to ready with 1,000,000 tasks (ours)',
} as const;
export type Scenario = keyof typeof SCENARIOS;
