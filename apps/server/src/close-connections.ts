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
  const shaking = new Map<string, Socket>();
  const isTls = server instanceof TlsServer;
  server.on('connection', (socket: Socket) => {
    if (isTls) remember(shaking, socket);
  });
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    shaking.delete(peerOf(socket));
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => unused.delete(socket));
  return {
    start() {
      for (const socket of [...unused, ...shaking.values()]) socket.destroy();
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      server.once('close', () => clearInterval(sweep));
    },
  };
}

/** By peer: the socket that comes out of a handshake is another one. */
function remember(shaking: Map<string, Socket>, socket: Socket): void {
  const peer = peerOf(socket);
  shaking.set(peer, socket);
  socket.once('close', () => shaking.delete(peer));
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
