// Copies one database into another, for a test that kills it: says how far it is at every step, and waits to be told to go on.
import { once } from 'node:events';
import { copyDatabase, type DatabaseOptions } from '@task-orchestrator/core';

const [from, to] = process.argv.slice(2).map((text) => JSON.parse(text) as DatabaseOptions);
process.once('disconnect', () => process.exit());
await copyDatabase({ from: from!, to: to!, onProgress: (progress) => process.send?.(progress) });
process.send?.('done');
await once(process, 'disconnect');
