import type { Server } from 'node:http';
import type { Logger } from './logging.ts';

const TELL_MS = 60_000;

/** Closes what connects beyond so many connections; those that stand go on. The log tells so once a minute. */
export function capConnections(server: Server, maxConnections: number, logger: Logger): void {
  server.maxConnections = maxConnections;
  let refused = 0;
  let toldAt = -Infinity;
  server.on('drop', () => {
    refused += 1;
    const now = performance.now();
    if (now - toldAt < TELL_MS) return;
    logger.warn({ max_connections: maxConnections, refused }, 'connections refused: server.max_connections is reached');
    toldAt = now;
    refused = 0;
  });
}
