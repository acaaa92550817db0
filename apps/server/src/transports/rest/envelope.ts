import type { ErrorBody } from '@task-orchestrator/contract';
import type { JsonText } from '../json-answer.ts';

/** The envelope around an answer, as JSON text. */
export function wrapData(data: unknown): JsonText {
  return ['{"success":true,"data":', JSON.stringify(data), `,"error":null,"timestamp":"${new Date().toISOString()}"}`];
}

/** The envelope around a refusal, as JSON text. */
export function wrapError(error: ErrorBody): string {
  return `{"success":false,"data":null,"error":${JSON.stringify(error)},"timestamp":"${new Date().toISOString()}"}`;
}
