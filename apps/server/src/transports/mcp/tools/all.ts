import type { McpTool } from '../tool.ts';
import { acquireTask } from './acquire-task.ts';
import { cancelTask } from './cancel-task.ts';
import { completeTask } from './complete-task.ts';
import { createTasks } from './create-tasks.ts';
import { failTask } from './fail-task.ts';
import { getTask } from './get-task.ts';
import { heartbeatTask } from './heartbeat-task.ts';
import { listTasks } from './list-tasks.ts';
import { releaseTask } from './release-task.ts';
import { waitForTasks } from './wait-for-tasks.ts';

/** Every tool, always in this order: clients cache prompts by it. */
export const TOOLS: readonly McpTool[] = [
  acquireTask,
  heartbeatTask,
  completeTask,
  failTask,
  releaseTask,
  createTasks,
  waitForTasks,
  getTask,
  listTasks,
  cancelTask,
];
