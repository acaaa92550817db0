import type { OperationObject } from './document-shape.ts';

/** How to call an operation from a shell, with `$KEY` in the environment. */
export function curlExample(method: string, path: string, operation: OperationObject): string {
  const { parameters = [], requestBody, security } = operation;
  const body = requestBody?.content['application/json']?.example;
  const filled = parameters
    .filter((parameter) => parameter.in === 'path')
    .reduce((url, { name, example }) => url.replace(`{${name}}`, encodeURIComponent(String(example))), path);
  const query = parameters
    .filter((parameter) => parameter.in === 'query' && parameter.example !== undefined)
    .map(({ name, example }) => `${name}=${String(example)}`)
    .join('&');
  const isStream = '200' in operation.responses && JSON.stringify(operation.responses['200']).includes('event-stream');
  return [
    `curl${isStream ? ' --no-buffer' : ''}${method === 'GET' ? '' : ` -X ${method}`} ${quote(`http://localhost:8080${filled}${query && `?${query}`}`)}`,
    ...(security?.length === 0 ? [] : ['-H "Authorization: Bearer $KEY"']),
    ...(body === undefined ? [] : ["-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`]),
  ].join(' \\\n  ');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
