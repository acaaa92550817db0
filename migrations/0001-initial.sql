-- One text for every engine. {identity} is its growing integer key that is never used twice, {text} text in byte
-- order; a statement that starts with {postgres} or {sqlite} is for that engine alone.
-- Large columns stand last: a row is read from the front, and most verbs stop before them.

CREATE TABLE tasks (
  seq {identity},
  task_id {text} NOT NULL,
  work_directory {text} NOT NULL,
  status TEXT NOT NULL,
  priority SMALLINT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL,
  timeout_seconds INTEGER NOT NULL,
  exclusive SMALLINT NOT NULL,
  on_dependency_failure TEXT NOT NULL,
  run_at BIGINT NOT NULL,
  worker_id TEXT,
  acquire_id TEXT,
  lease_token TEXT,
  lease_epoch INTEGER NOT NULL DEFAULT 0,
  lease_state TEXT,
  lease_seconds INTEGER,
  lease_expires_at BIGINT,
  cancel_requested SMALLINT NOT NULL DEFAULT 0,
  idempotency_key TEXT,
  idempotency_body TEXT,
  idempotency_window_hours INTEGER,
  log_bytes INTEGER NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT,
  cancel_reason TEXT,
  progress TEXT,
  error TEXT,
  depends_on TEXT,
  tags TEXT,
  metadata TEXT,
  prompt TEXT NOT NULL,
  result TEXT
);

CREATE UNIQUE INDEX tasks_task_id ON tasks (task_id);
{postgres} CREATE INDEX tasks_directory ON tasks (work_directory, seq);
-- In bands of 1,024 tasks created one after the other: new tasks go to a few pages, and not to one a directory.
{sqlite} CREATE INDEX tasks_directory ON tasks (seq >> 10, work_directory, seq);
CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- What may be acquired, in the order in which it is.
{postgres} CREATE INDEX tasks_waiting ON tasks (work_directory, priority, run_at, seq) WHERE status = 'waiting';
-- In bands as well. Within a band, tasks that are due since they were created come in the order of their creation; the others
-- have an index of their own.
{sqlite} CREATE INDEX tasks_waiting ON tasks (seq >> 10, work_directory, priority, run_at = created_at, seq) WHERE status = 'waiting';
{sqlite} CREATE INDEX tasks_waiting_later ON tasks (work_directory, priority, run_at, seq) WHERE status = 'waiting' AND run_at <> created_at;
-- Exclusive tasks that stand in line hold back what overlaps them.
CREATE INDEX tasks_waiting_exclusive ON tasks (work_directory, priority, run_at, seq) WHERE status = 'waiting' AND exclusive = 1;
-- Scheduled tasks stay out of the waiting index until they are due.
CREATE INDEX tasks_scheduled ON tasks (run_at, seq) WHERE status = 'scheduled';
CREATE INDEX tasks_blocked ON tasks (seq) WHERE status = 'blocked';
CREATE INDEX tasks_lease ON tasks (lease_expires_at) WHERE status = 'working';
CREATE INDEX tasks_working ON tasks (work_directory) WHERE status = 'working';
CREATE INDEX tasks_working_exclusive ON tasks (work_directory) WHERE status = 'working' AND exclusive = 1;
CREATE INDEX tasks_acquire_id ON tasks (acquire_id) WHERE status = 'working' AND acquire_id IS NOT NULL;
-- What went wrong is looked for among many that went well.
CREATE INDEX tasks_failed ON tasks (seq) WHERE status = 'failed';
CREATE INDEX tasks_cancelled ON tasks (seq) WHERE status = 'cancelled';
CREATE INDEX tasks_finished ON tasks (finished_at, status) WHERE finished_at IS NOT NULL;

CREATE TABLE task_dependencies (
  task_seq BIGINT NOT NULL,
  depends_on_seq BIGINT NOT NULL,
  PRIMARY KEY (depends_on_seq, task_seq)
);
CREATE INDEX task_dependencies_task ON task_dependencies (task_seq);

CREATE TABLE events (
  seq {identity},
  task_seq BIGINT NOT NULL,
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  lease_epoch INTEGER NOT NULL,
  worker_id TEXT,
  data TEXT,
  at BIGINT NOT NULL
);
CREATE INDEX events_task ON events (task_seq, seq);

CREATE TABLE task_logs (
  seq {identity},
  task_seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  attempt INTEGER NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX task_logs_task ON task_logs (task_seq, seq);

CREATE TABLE workers (
  worker_id TEXT PRIMARY KEY,
  last_acquire_at BIGINT,
  last_heartbeat_at BIGINT,
  last_seen_at BIGINT NOT NULL
);
CREATE INDEX workers_seen ON workers (last_seen_at);

CREATE TABLE paths (
  path {text} PRIMARY KEY,
  paused SMALLINT NOT NULL,
  max_concurrent INTEGER,
  weight DOUBLE PRECISION NOT NULL
);

-- Keys under which values are encrypted: their ids, from before the first value until none is left.
CREATE TABLE encryption_keys (
  key_id TEXT PRIMARY KEY,
  first_used_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
  key_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL,
  roles TEXT NOT NULL,
  path_prefixes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used_at BIGINT,
  previous_hash TEXT,
  previous_expires_at BIGINT
);
CREATE UNIQUE INDEX api_keys_hash ON api_keys (hash);
-- The secret from before a rotation, while it is still valid.
CREATE INDEX api_keys_previous_hash ON api_keys (previous_hash) WHERE previous_hash IS NOT NULL;
