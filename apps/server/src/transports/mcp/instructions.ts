/** What a model sees at the start, with the names of the tools: clients cut it at 2,048 characters. */
export const INSTRUCTIONS = `Task Orchestrator: a durable queue of work for coding agents. A task is a prompt bound to a work directory.

TO WORK: loop
1. acquire_task {"work_path":"/abs/path","wait_seconds":50} gives task and lease_token. task: null = nothing ready: ask again, or stop if told to.
2. Do what task.prompt says, in task.work_directory.
3. complete_task {"task_id","lease_token","output"}. If you could not do it: fail_task. To hand it back: release_task.
Then 1 again. Never end a task you did not acquire.

Every answer has "next": the next legal step. Follow it.

LEASE: a task is yours until lease_expires_at (600 s from acquire_task, or lease_seconds). Longer work: heartbeat_task before then, or let a script do it (see "renew" in the answer). create_tasks, wait_for_tasks, get_task and list_tasks renew your lease when you pass "holding":{"task_id","lease_token"}. LEASE_LOST means STOP: the task is somebody else's now. cancel_requested means stop and call fail_task.

TO DELEGATE: create_tasks (write prompts that stand alone; set idempotency_key so that a repeat is safe; order work with ref and depends_on), then wait_for_tasks with the task_ids: it returns when they are done. Do not poll get_task or list_tasks.

ERRORS: isError with error.code, error.retryable and next. retryable: same call again after retry_after_seconds; else change something. If an answer of acquire_task was lost, repeat it with the same acquire_id. complete_task, fail_task and release_task can be repeated safely.

Long texts are cut, marked [CUT: ...]; the marker says how to read on.`;
