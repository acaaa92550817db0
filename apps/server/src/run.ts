import { parseArgs } from 'node:util';
import { migrateDatabase } from '@task-orchestrator/core';
import { loadConfig } from './config/load-config.ts';
import { copyBetween } from './copy-between.ts';
import { printConfig } from './config/print-config.ts';
import { toDatabaseOptions } from './core-options.ts';
import { explainStartFailure } from './explain-start-failure.ts';
import { rewriteValues } from './rewrite-values.ts';
import { startServer } from './start-server.ts';
import { version } from './version.ts';

const USAGE = `Usage: main [options]
       main mcp [options]   (MCP on stdin and stdout; see main mcp --help)
       main backup <file>   (copies the SQLite database, also while the server runs; see main backup --help)
       main restore <file>  (puts a backup in its place; see main restore --help)

Starts the Task Orchestrator. Configuration: config/*.toml and APP_<SECTION>_<KEY>.

  --config <folder>  folder of the configuration files (default: config)
  --print-config     show every setting and where it comes from, and exit
  --migrate-only     bring the database schema up to date, and exit
  --copy --from <database URL> --to <database URL>
                     move everything into another, empty database, and exit; no server may run on either.
                     Cut off, the same command goes on where it was
  --reencrypt        bring everything that is stored under database.encryption_key, and exit; on SQLite no server may run.
                     Cut off, the same command does the rest
  --decrypt          the same into plain text, with the key still set; no server may run
  --version          show the version, and exit
  --help             show this, and exit
`;

/** Does what the command line asks for. What keeps the server from starting is told in one line, with exit code 1. */
export async function run(args: string[]): Promise<void> {
  try {
    const [command = '', ...rest] = args;
    const runCommand = await findCommand(command);
    if (runCommand) await runCommand(rest);
    else await dispatch(readOptions(args));
  } catch (error) {
    process.stderr.write(`${explainStartFailure(error)}\n`);
    process.exit(1);
  }
}

/** Loaded when asked for: a server carries none of them. */
async function findCommand(name: string): Promise<((args: string[]) => Promise<void>) | undefined> {
  if (name === 'mcp') return (await import('./mcp-stdio/run-mcp.ts')).runMcp;
  if (name === 'backup') return (await import('./back-up.ts')).runBackup;
  if (name === 'restore') return (await import('./restore.ts')).runRestore;
  return undefined;
}

type Options = ReturnType<typeof readOptions>;

function readOptions(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'config' },
      'print-config': { type: 'boolean', default: false },
      'migrate-only': { type: 'boolean', default: false },
      copy: { type: 'boolean', default: false },
      from: { type: 'string' },
      to: { type: 'string' },
      reencrypt: { type: 'boolean', default: false },
      decrypt: { type: 'boolean', default: false },
      version: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  return values;
}

async function dispatch(options: Options): Promise<void> {
  if (options.help) return void process.stdout.write(USAGE);
  if (options.version) return void process.stdout.write(`${version}\n`);
  const loaded = loadConfig({ configDir: options.config });
  if (options['print-config']) return printConfig(loaded);
  if (options.copy) return copyBetween({ ...options, config: loaded.config });
  if (options.reencrypt || options.decrypt) return rewriteValues(loaded.config, { toPlainText: options.decrypt });
  if (options['migrate-only']) {
    await migrateDatabase(toDatabaseOptions(loaded.config.database));
    return void process.stdout.write('The database schema is up to date\n');
  }
  outliveReaders();
  const starting = startServer(loaded.config);
  // Before it has started, since a signal that process 1 of a container does not handle is lost.
  stopOnSignal(async () => (await starting).stop());
  await starting;
}

/** That nobody reads what it prints is no reason for a server to end; unheard, the error of the stream would be one. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

const STOP_WITHIN_MS = 9500;

/** The first signal ends gracefully, a second one at once. */
function stopOnSignal(stop: () => Promise<void>): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(signal === 'SIGINT' ? 130 : 143);
    isStopping = true;
    setTimeout(() => process.exit(1), STOP_WITHIN_MS).unref();
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`The server could not end cleanly: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}
