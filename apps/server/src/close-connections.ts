import type { IncomingMessage, Server } from 'node:http';
import { Server as TlsServer } from 'node:tls';
import type { Socket } from 'node:net';

const SWEEP_MS = 50;

/**
 * Lets a server that has stopped listening come to its end: `start` closes each connection as soon as nothing is asked
 * on it. Node itself looks only once, and keeps a connection on which nothing was ever asked.
 */
export function createConnectionCloser(server: Server): { start(): void } {
  const unused = new Set<Socket>();
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => unused.delete(socket));
  return {
    start() {
      for (const socket of unused) socket.destroy();
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      server.once('close', () => clearInterval(sweep));
    },
  };
}
