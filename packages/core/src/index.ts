export type { ApiKeys, NewKey, ValidKey } from './repository/api-key.ts';
export type { Core, CoreGauges, CoreObserver } from './core-api.ts';
export { DomainError, invalidField } from './domain-error.ts';
export { openCore, type CoreOptions } from './core.ts';
export { copyDatabase, type CopyProgress, type CopyReport } from './copy/copy-database.ts';
export { isInScope, type Scope } from './domain/scope.ts';
export type { DatabaseOptions } from './db/open-engine.ts';
export type { TaskPolicy } from './commit/commit.ts';
export { isOutage } from './db/outage.ts';
