import type { JsonSchema } from './component-schemas.ts';
import { curlExample } from './curl-example.ts';
import { describeType } from './describe-type.ts';
import { docsStyle } from './docs-style.ts';
import type { OpenApiDocument, OperationObject, ParameterObject, ResponseObject } from './document-shape.ts';
import { Html, html, prose } from './html.ts';

/** The document as one page to read: no scripts, nothing loaded from anywhere. */
export function renderDocsPage(document: OpenApiDocument): string {
  const { info, tags, components } = document;
  const routes = listRoutes(document);
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${info.title} API</title>
        <link rel="icon" href="data:," />
        ${styleElement}
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <div class="layout">
          <nav aria-label="Operations">
            <a href="#content"><strong>${info.title}</strong></a>
            ${tags.map(({ name }) => renderNavigation(name, routes))}
            <h2>Schemas</h2>
            <ul>
              ${Object.keys(components.schemas).map((name) => html`<li><a href="#schema-${name}">${name}</a></li>`)}
            </ul>
          </nav>
          <main id="content">
            <h1>${info.title} API <small>${info.version}</small></h1>
            ${info.description.split('\n\n').map((paragraph) => html`<p class="lead">${prose(paragraph)}</p>`)}
            ${renderStart()}
            ${tags.map(
              ({ name, description }) =>
                html`<section aria-labelledby="tag-${name}">
                  <h2 id="tag-${name}">${name}</h2>
                  <p class="lead">${description}</p>
                  ${routes.filter((route) => route.operation.tags.includes(name)).map((route) => renderOperation(route, components))}
                </section>`,
            )}
            <section aria-labelledby="schemas">
              <h2 id="schemas">Schemas</h2>
              ${Object.entries(components.schemas).map(renderSchema)}
            </section>
          </main>
        </div>
      </body>
    </html> `;
  return page.markup;
}

// Apart from the templates: its content is allowed by its hash, to the last space.
const styleElement = new Html(`<style>${docsStyle}</style>`);

interface Route {
  method: string;
  path: string;
  operation: OperationObject;
}

function listRoutes(document: OpenApiDocument): Route[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

function renderNavigation(tag: string, routes: readonly Route[]): Html {
  return html`<h2>${tag}</h2>
    <ul>
      ${routes
        .filter(({ operation }) => operation.tags.includes(tag))
        .map(
          ({ method, operation }) =>
            html`<li><a href="#${operation.operationId}">${renderMethod(method)}${shortName(operation)}</a></li>`,
        )}
    </ul>`;
}

function shortName({ operationId }: OperationObject): string {
  return operationId.slice(operationId.indexOf('.') + 1);
}

function renderMethod(method: string): Html {
  return html`<span class="method ${method.toLowerCase()}">${method}</span>`;
}

function renderStart(): Html {
  return html`<article>
    <h3>Start here</h3>
    <p>
      Every call needs a key, as <code>Authorization: Bearer …</code> or <code>x-api-key</code>. The first start of the
      server prints one and writes it to <code>admin.key</code> beside the database. The machine-readable form of this
      page is <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).
    </p>
    <pre tabindex="0"><code>KEY=$(cat data/admin.key)
curl -H "Authorization: Bearer $KEY" 'http://localhost:8080/api/v1/tasks?status=waiting'</code></pre>
  </article>`;
}

type Components = OpenApiDocument['components'];

function renderOperation({ method, path, operation }: Route, components: Components): Html {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const body = requestBody?.content['application/json'];
  return html`<article id="${operationId}">
    <span class="op"><code>${operationId}</code></span>
    <h3>${prose(summary)}</h3>
    <p class="route">${renderMethod(method)}<span class="path">${path}</span></p>
    ${description !== undefined && html`<p>${prose(description)}</p>`}
    ${
      parameters &&
      html`<h4>Parameters</h4>
        ${renderFields(parameters.map(toField))}`
    }
    ${
      body &&
      html`<h4>Body</h4>
        ${renderFields(listProperties(body.schema))}`
    }
    <h4>Example</h4>
    <pre tabindex="0"><code>${curlExample(method, path, operation)}</code></pre>
    ${renderAnswer(responses['200'])}
    <details>
      <summary>Refusals</summary>
      ${renderRefusals(responses, components)}
    </details>
  </article>`;
}

function renderAnswer(response: ResponseObject | { $ref: string } | undefined): Html | undefined {
  if (response === undefined || '$ref' in response) return undefined;
  const [content] = Object.values(response.content);
  const example = content?.example;
  const text = typeof example === 'string' ? example : JSON.stringify(example, null, 2);
  const data = content?.schema.properties?.['data'] ?? content?.schema;
  return html`<details>
    <summary>Answer</summary>
    ${typeof data === 'object' && renderData(data)}
    <pre tabindex="0"><code>${text}</code></pre>
  </details>`;
}

function renderData(schema: JsonSchema): Html {
  const fields = listProperties(schema);
  return fields.length > 0 ? renderFields(fields) : html`<p>${describeType(schema)}</p>`;
}

function renderRefusals(responses: OperationObject['responses'], components: Components): Html {
  const refusals = Object.entries(responses).filter(([status]) => status !== '200');
  const describe = (response: ResponseObject | { $ref: string }) =>
    '$ref' in response
      ? components.responses[response.$ref.split('/').at(-1) ?? '']?.description
      : response.description;
  return html`<div class="scroll">
    <table class="narrow">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Code</th>
        </tr>
      </thead>
      <tbody>
        ${refusals.map(
          ([status, response]) =>
            html`<tr>
              <td>${status}</td>
              <td>${prose(describe(response) ?? '')}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

interface Field {
  name: string;
  place?: string;
  isRequired: boolean;
  schema: JsonSchema;
  description: string | undefined;
}

function toField({ name, in: place, required, schema, description }: ParameterObject): Field {
  return { name, place, isRequired: required, schema, description };
}

/** Fields of an object and, as `list[].field`, of the objects inside it that have no name and so no section of their own. */
function listProperties({ properties = {}, required = [] }: JsonSchema, prefix = ''): Field[] {
  return Object.entries(properties).flatMap(([key, property]) => {
    const schema = property as JsonSchema;
    const name = prefix + key;
    const field = { name, isRequired: required.includes(key), schema, description: schema.description };
    const isList = schema.type === 'array' && typeof schema.items === 'object';
    const inner = isList ? (schema.items as JsonSchema) : schema;
    return [field, ...listProperties(inner, `${name}${isList ? '[]' : ''}.`)];
  });
}

function renderFields(fields: readonly Field[]): Html {
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Field</th>
          <th scope="col">Type</th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        ${fields.map(
          ({ name, place, isRequired, schema, description }) =>
            html`<tr>
              <td><code>${name}</code>${isRequired && html`<span class="required">required</span>`}</td>
              <td>
                ${describeType(schema)}${schema.default !== undefined && html`<br /><span class="note">default <code>${JSON.stringify(schema.default)}</code></span>`}
              </td>
              <td>
                ${place !== undefined && html`<span class="note">in ${place}${description === undefined ? '' : '. '}</span>`}${description !== undefined && prose(description)}
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function renderSchema([name, schema]: [string, JsonSchema]): Html {
  return html`<article id="schema-${name}">
    <h3>${name}</h3>
    ${schema.description !== undefined && html`<p>${prose(schema.description)}</p>`} ${renderData(schema)}
  </article>`;
}
