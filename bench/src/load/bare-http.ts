// The bare limit of HTTP: node:http that parses a body and answers with JSON. Prints its port.
import { createServer } from 'node:http';

let id = 0;
const server = createServer((request, response) => {
  let text = '';
  request.setEncoding('utf8');
  request.on('data', (chunk: string) => {
    text += chunk;
  });
  request.on('end', () => {
    const { work_directory, metadata } = JSON.parse(text) as { work_directory: unknown; metadata: unknown };
    const answer = JSON.stringify({ id: ++id, status: 'waiting', work_directory, metadata });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
