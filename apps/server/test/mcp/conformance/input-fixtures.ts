import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import {
  CLIENT_CAPABILITIES_META_KEY,
  ProtocolError,
  ProtocolErrorCode,
  type InputRequests,
  type InputRequiredResult,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { envelopeOf } from '../../../src/transports/mcp/envelope.ts';
import { fixture, text, type Fixture } from './fixture.ts';

const SECRET = randomBytes(32);

/** Tools that ask the client for something before they answer. */
export const inputFixtures: readonly Fixture[] = [
  ...['test_input_required_result_elicitation', 'test_streaming_elicitation', 'test_elicitation'].map((name) =>
    fixture(name, (_args, context) => {
      const given = answerTo(context, 'user_name');
      return given === undefined
        ? ask({ user_name: askFor('What is your name?', 'name') })
        : text(`Hello, ${String(given['name'])}!`);
    }),
  ),
  ...['test_input_required_result_sampling', 'test_sampling'].map((name) =>
    fixture(name, (_args, { mcpReq }) => {
      const given = mcpReq.inputResponses?.['capital_question'];
      return given === undefined
        ? ask({ capital_question: sample('What is the capital of France?', 100) })
        : text(JSON.stringify(given));
    }),
  ),
  fixture('test_input_required_result_list_roots', (_args, { mcpReq }) => {
    const given = mcpReq.inputResponses?.['client_roots'];
    return given === undefined
      ? ask({ client_roots: { method: 'roots/list', params: {} } })
      : text(JSON.stringify(given));
  }),
  ...['test_input_required_result_request_state', 'test_input_required_result_tampered_state'].map((name) =>
    fixture(name, (_args, context) => {
      const state = readState(context);
      if (answerTo(context, 'confirm') === undefined || state === undefined) {
        return ask({ confirm: askFor('Please confirm', 'ok', 'yes or no') }, 'confirming');
      }
      return text(`state-ok ${state}`);
    }),
  ),
  fixture('test_input_required_result_multiple_inputs', (_args, { mcpReq }) =>
    Object.keys(mcpReq.inputResponses ?? {}).length === 3
      ? text('all answered')
      : ask(
          {
            user_name: askFor('What is your name?', 'name'),
            greeting: sample('Generate a greeting', 50),
            client_roots: { method: 'roots/list', params: {} },
          },
          'asked',
        ),
  ),
  fixture('test_input_required_result_multi_round', (_args, context) => {
    const state = readState(context);
    if (state === 'two' && answerTo(context, 'step2')) return text('both steps answered');
    if (state === 'one' && answerTo(context, 'step1')) {
      return ask({ step2: askFor('Step 2: What is your favorite color?', 'color') }, 'two');
    }
    return ask({ step1: askFor('Step 1: What is your name?', 'name') }, 'one');
  }),
  fixture('test_input_required_result_capabilities', (_args, context) => {
    const declared: object = envelopeOf(context)[CLIENT_CAPABILITIES_META_KEY] ?? {};
    if (Object.keys(context.mcpReq.inputResponses ?? {}).length > 0) return text('answered');
    return ask({
      ...('elicitation' in declared && { name: askFor('What is your name?', 'name') }),
      ...('sampling' in declared && { greeting: sample('Generate a greeting', 50) }),
    });
  }),
];

/** What the user said to one question. */
export function answerTo({ mcpReq }: ServerContext, key: string): Readonly<Record<string, unknown>> | undefined {
  const { action, content } = (mcpReq.inputResponses?.[key] ?? {}) as {
    action?: string;
    content?: Record<string, unknown>;
  };
  return action === 'accept' ? content : undefined;
}

export function ask(inputRequests: InputRequests, state?: string): InputRequiredResult {
  return { resultType: 'input_required', inputRequests, ...(state !== undefined && { requestState: sign(state) }) };
}

export function askFor(message: string, field: string, kind: 'text' | 'yes or no' = 'text'): InputRequests[string] {
  const type = kind === 'text' ? { type: 'string' as const } : { type: 'boolean' as const };
  const requestedSchema = { type: 'object' as const, properties: { [field]: type }, required: [field] };
  return { method: 'elicitation/create', params: { message, requestedSchema } };
}

function sample(question: string, maxTokens: number): InputRequests[string] {
  const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: question } }];
  return { method: 'sampling/createMessage', params: { messages, maxTokens } };
}

function sign(state: string): string {
  return `${state}.${createHmac('sha256', SECRET).update(state).digest('hex')}`;
}

function readState({ mcpReq }: ServerContext): string | undefined {
  const signed = mcpReq.requestState<string>();
  if (signed === undefined) return undefined;
  const [state = ''] = signed.split('.');
  const wanted = Buffer.from(sign(state));
  const given = Buffer.from(signed);
  if (given.length === wanted.length && timingSafeEqual(given, wanted)) return state;
  throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'requestState was tampered with');
}
