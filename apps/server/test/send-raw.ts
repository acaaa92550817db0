import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** Sends bytes as they are, and gives all that comes back until the server closes the connection. */
export async function sendRaw(url: string, request: string): Promise<{ head: string; body: string }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  socket.write(request);
  const answer = await text(socket);
  const split = answer.indexOf('\r\n\r\n');
  return { head: answer.slice(0, split), body: answer.slice(split + 4) };
}
