// The bare limit of HTTP: node:http that parses a body and answers with JSON; with a file, once a row of it is on the disk.
// bare-http.ts [<SQLite file>]. Prints its port.
import { fdatasync, openSync } from 'node:fs';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';

interface Body {
  readonly work_directory: string;
  readonly prompt: string;
  readonly metadata: unknown;
}

const [, , file] = process.argv;
const store = file === undefined ? null : openStore(file);

/** The least that keeps a task: one row of one table, one commit and one flush in another thread, as ours flushes. */
function openStore(file: string): (body: Body) => Promise<void> {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  database.exec('CREATE TABLE tasks (id INTEGER PRIMARY KEY, work_directory TEXT, prompt TEXT, metadata TEXT)');
  const insert = database.prepare('INSERT INTO tasks (work_directory, prompt, metadata) VALUES (?, ?, ?)');
  const log = openSync(`${file}-wal`, 'r+');
  const flush = promisify(fdatasync);
  return async ({ work_directory, prompt, metadata }) => {
    insert.run(work_directory, prompt, JSON.stringify(metadata));
    await flush(log);
  };
}

let id = 0;
const server = createServer((request, response) => {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => {
    text += chunk;
  });
  request.on('end', () => {
    const body = JSON.parse(text) as Body;
    const send = (): void => {
      const { work_directory, metadata } = body;
      const answer = JSON.stringify({ id: ++id, status: 'waiting', work_directory, metadata });
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
      response.end(answer);
    };
    if (store === null) send();
    else void store(body).then(send);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
