import type { DatabaseConnection, Driver } from 'kysely';

/** What Kysely needs to run statements one by one. Transactions are the business of the engine, which knows a shorter way. */
export function statementDriver<Connection extends DatabaseConnection>(connections: {
  borrow: () => Promise<Connection>;
  giveBack?: (connection: Connection) => void;
  destroy?: () => void;
}): Driver {
  const { borrow, giveBack, destroy } = connections;
  return {
    init: async () => undefined,
    acquireConnection: borrow,
    // Kysely gives back what it has borrowed here.
    releaseConnection: async (connection) => giveBack?.(connection as Connection),
    beginTransaction: refuseTransactions,
    commitTransaction: refuseTransactions,
    rollbackTransaction: refuseTransactions,
    destroy: async () => destroy?.(),
  };
}

async function refuseTransactions(): Promise<void> {
  throw new Error('transactions are the business of the engine');
}
