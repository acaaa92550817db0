import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import type { Notice } from '../../src/db/engine.ts';
import { PostgresPeers } from '../../src/db/postgres/postgres-peers.ts';
import { startPostgres, type PostgresServer } from '../postgres-server.ts';

const NOTICE: Notice = { types: ['created'], ready: [['/a', 1, 0, 1]], hasFreed: false, hasNewSettings: false };

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

function openPeers(url: string): PostgresPeers {
  const peers = new PostgresPeers({ url, onError: () => undefined });
  onTestFinished(() => peers.close());
  return peers;
}

test('a notice goes over the next connection when the first is lost in the moment in which it begins to listen', async () => {
  const url = await server.createDatabase();
  const received = Promise.withResolvers<Notice>();
  const listening = Promise.withResolvers<void>();
  openPeers(url).subscribe((notice) => (notice === null ? listening.resolve() : received.resolve(notice)));
  await listening.promise;

  const sent = vi.spyOn(pg.Client.prototype, 'query');
  onTestFinished(() => sent.mockRestore());
  const connect = vi.spyOn(pg.Client.prototype, 'connect').mockImplementationOnce(function (this: pg.Client) {
    connect.mockRestore();
    // Its LISTEN has been answered then, and nobody has heard of the answer yet.
    const connected = this.connect().then(() => this.once('drain', () => this.emit('error', new Error('lost'))));
    // The type knows the form with a callback alone.
    return connected as unknown as void;
  });
  const sender = openPeers(url);
  sender.subscribe(() => undefined);
  sender.publish(NOTICE);
  expect(await received.promise).toMatchObject({ types: ['created'] });
  const notifies = sent.mock.calls.filter(([config]) => JSON.stringify(config).includes('pg_notify'));
  expect(notifies.length).toBeLessThan(10);
});
