// A small pipelining client: replies come in the order of the requests.
import { connect } from 'node:net';

export async function open({ port }) {
  const producers = await Promise.all(Array.from({ length: 8 }, () => openConnection(port)));
  let next = 0;
  return {
    add: (payload) => producers[next++ % producers.length].put(JSON.stringify(payload)),
    // It has no command for many: pipelined.
    addMany: (payloads) => Promise.all(payloads.map((payload) => producers[0].put(JSON.stringify(payload)))),
    async work({ concurrency, onStart, onDone }) {
      const workers = await Promise.all(Array.from({ length: concurrency }, () => openConnection(port)));
      for (const worker of workers) void workForever(worker, onStart, onDone);
    },
    async remaining() {
      const stats = await producers[0].stats();
      const count = (name) => Number(new RegExp(`current-jobs-${name}: (\\d+)`).exec(stats)[1]);
      return count('ready') + count('reserved');
    },
  };
}

async function workForever(worker, onStart, onDone) {
  for (;;) {
    const { head, body } = await worker.ask('reserve\r\n');
    onStart(JSON.parse(body));
    await worker.ask(`delete ${head[1]}\r\n`);
    onDone();
  }
}

function openConnection(port) {
  return new Promise((resolve, reject) => {
    const waiting = [];
    let buffer = Buffer.alloc(0);
    const socket = connect(port, '127.0.0.1', () => {
      socket.setNoDelay(true);
      resolve({ ask, put, stats });
    });
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      buffer = buffer.length > 0 ? Buffer.concat([buffer, chunk]) : chunk;
      while (takeReply());
    });

    function takeReply() {
      const endOfLine = buffer.indexOf('\r\n');
      if (endOfLine < 0) return false;
      const head = buffer.toString('latin1', 0, endOfLine).split(' ');
      let end = endOfLine + 2;
      let body;
      if (head[0] === 'RESERVED' || head[0] === 'OK') {
        const length = Number(head.at(-1));
        if (buffer.length < end + length + 2) return false;
        body = buffer.toString('utf8', end, end + length);
        end += length + 2;
      }
      buffer = buffer.subarray(end);
      waiting.shift()?.({ head, body });
      return true;
    }

    function ask(command) {
      return new Promise((answer) => {
        waiting.push(answer);
        socket.write(command);
      });
    }

    async function put(body) {
      const { head } = await ask(`put 100 0 120 ${Buffer.byteLength(body)}\r\n${body}\r\n`);
      if (head[0] !== 'INSERTED') throw new Error(head.join(' '));
    }

    async function stats() {
      const { body } = await ask('stats\r\n');
      return body;
    }
  });
}
