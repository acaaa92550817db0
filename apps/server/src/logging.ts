import { mkdirSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import sonicBoom from 'sonic-boom';

import type { LoggingConfig } from './config/config.ts';

export type { Logger } from 'pino';

/** Every logger of the server: the root, and one per component whose lines carry `component`. */
export type Loggers = Record<'root' | 'http' | 'auth' | 'database' | 'background', Logger>;

/**
 * Declares all loggers of the server, on one destination.
 * @param fields for every line: asked when it is written
 */
export const createLoggers = (
  config: LoggingConfig,
  destination?: DestinationStream,
  fields?: () => object,
): Loggers => {
  const root = createLogger(config, destination, fields);
  return {
    root,
    http: root.child({ component: 'http' }),
    auth: root.child({ component: 'auth' }),
    database: root.child({ component: 'database' }),
    background: root.child({ component: 'background' }),
  };
};

/**
 * The root logger: one JSON object per line, or readable text with `format: 'pretty'`, to `config.file` or standard
 * output. Lines are written asynchronously and flushed when the process exits; credentials are masked.
 * Throws when the file cannot be opened.
 */
export const createLogger = (
  config: LoggingConfig,
  destination: DestinationStream = openDestination(config.file),
  fields?: () => object,
): Logger =>
  pino(
    {
      level: config.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: maskCredentials },
      ...(fields && { mixin: fields }),
    },
    config.format === 'pretty' ? prettify(destination, config.file === undefined) : destination,
  );

const credentialNames =
  'authorization|(?:set-)?cookie|(?:x-)?api[_-]?key|lease[_-]?token|admin_key|(?:previous_)?encryption_keys?|password|secret';
const credential = new RegExp(`"(${credentialNames})":\\s*(?:"(?:[^"\\\\]|\\\\.)*"|\\[[^\\]]*\\])`, 'gi');
const bearer = /\bBearer +[\w.~+/=-]+/gi;

/**
 * Masks credentials at any depth of a finished line. Pino's own `redact` knows fixed depths only, and its wildcards
 * cost 10 µs a line where this costs less than one.
 */
const maskCredentials = (line: string): string => line.replace(credential, '"$1":"***"').replace(bearer, 'Bearer ***');

/** Lines wait in at most this much memory when the reader is slow or the disk full; further ones are dropped. */
const maxWaitingCharacters = 8 * 2 ** 20;

/** Opened at once: a file that Node is still opening loses its lines when the process exits early. */
const openDestination = (file: string | undefined): DestinationStream => {
  const fd = file === undefined ? process.stdout.fd : openLogFile(file);
  // Not `pino.destination`: the sonic-boom 4 in it retries at the exit for ever what cannot be written.
  const destination = new sonicBoom.SonicBoom({ fd, sync: false, maxLength: maxWaitingCharacters });
  let hasFailed = false;
  openDestinations.add(destination);
  destination.on('error', (error: NodeJS.ErrnoException) => {
    if (!hasFailed) process.stderr.write(`the log cannot be written: ${error.message}\n`);
    hasFailed = true;
    // Who read the lines is gone for good, where a disk may have room again.
    if (error.code === 'EPIPE') openDestinations.delete(destination);
  });
  return { write: (line) => void (openDestinations.has(destination) && destination.write(line)) };
};

const openDestinations = new Set<sonicBoom.SonicBoom>();

process.once('exit', () => {
  for (const destination of openDestinations) {
    try {
      destination.flushSync();
    } catch {
      // The full disk was reported, and the exit must not wait for room.
    }
  }
});

const openLogFile = (file: string): number => {
  try {
    mkdirSync(dirname(file), { recursive: true });
    return openSync(file, 'a', 0o640);
  } catch (cause) {
    throw new Error(`logging.file ${JSON.stringify(file)} cannot be opened for appending`, { cause });
  }
};

/** In this thread, unlike `pino.transport`: no worker to wait for at exit. Loaded here: JSON needs none of it. */
const prettify = (destination: DestinationStream, isTerminal: boolean): DestinationStream => {
  const { isColorSupported, prettyFactory } = createRequire(import.meta.url)('pino-pretty') as PinoPretty;
  const format = prettyFactory({ colorize: isTerminal && isColorSupported, ignore: 'pid,hostname' });
  return { write: (line) => destination.write(format(line)) };
};

type PinoPretty = typeof import('pino-pretty');
