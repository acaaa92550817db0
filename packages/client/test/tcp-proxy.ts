import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Passes bytes on to a server, until told to break off. */
export async function startTcpProxy(port: number) {
  const sockets = new Set<Socket>();
  let dropsNextAnswer = false;
  let dropped = 0;
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.on('data', (bytes) => {
      if (!dropsNextAnswer) return void near.write(bytes);
      dropsNextAnswer = false;
      dropped++;
      near.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    /** The server does what it is asked next, and nobody hears of it. */
    dropNextAnswer() {
      dropsNextAnswer = true;
    },
    get dropped() {
      return dropped;
    },
    breakConnections() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
