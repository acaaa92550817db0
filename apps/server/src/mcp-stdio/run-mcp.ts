import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/load-config.ts';
import { readClientEnv } from '../config/read-client-env.ts';
import { bridge } from './bridge.ts';
import { serveEmbedded } from './embedded.ts';

export const MCP_USAGE = `Usage: main mcp [options]

Speaks MCP on stdin and stdout, for a coding agent that starts it.

  --url <url>          address of a running server (default: TORC_URL, http://localhost:8080)
  --api-key <key>      its key (default: TORC_API_KEY)
  --database <url>     no server: work on this database in this process (sqlite:///abs/tasks.db, postgres://…)
  --config <folder>    folder of the configuration files, for --database (default: the one of this installation)
  --help               show this, and exit
`;

/** An agent starts this in a project of its own, whose `config` folder is none of our business. */
const OWN_CONFIG = fileURLToPath(new URL('../../../../config', import.meta.url));

/** Serves one agent over its pipes, until it closes them. */
export async function runMcp(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      'api-key': { type: 'string' },
      database: { type: 'string' },
      config: { type: 'string', default: OWN_CONFIG },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(MCP_USAGE);
  if (values.database === undefined) {
    const { url, apiKey } = readClientEnv();
    return bridge({ url: values.url ?? url, apiKey: values['api-key'] ?? apiKey });
  }
  if (values.url !== undefined) throw new Error('--url and --database exclude each other');
  const { config } = loadConfig({ configDir: values.config, overrides: { database: { url: values.database } } });
  return serveEmbedded(config);
}
