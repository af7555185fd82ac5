/** A typed client of a solemate service. Its paths and types are generated from the service's OpenAPI document. */

import createFetchClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths } from "./schema.js";
export type Hit = components["schemas"]["Hit"];
export type Item = components["schemas"]["Item"];
export type Problem = components["schemas"]["Problem"];
export type SearchAnswer = components["schemas"]["SearchAnswer"];

/** The body of a request: a form where a picture is in it, JSON elsewhere. */
function serialize(body: unknown): FormData | string {
  const entries = Object.entries(body as object).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each): [string, unknown] => [name, each]),
  );
  if (!entries.some(([, value]) => value instanceof Blob)) return JSON.stringify(body);
  const form = new FormData();
  for (const [name, value] of entries) {
    if (value !== undefined && value !== null) form.append(name, value instanceof Blob ? value : String(value));
  }
  return form;
}

/** A client of the service at `baseUrl`; `apiKey` is sent with every request. */
export function createClient(baseUrl: string, options: { apiKey?: string } = {}): Client<paths> {
  return createFetchClient<paths>({
    baseUrl,
    bodySerializer: serialize,
    headers: options.apiKey === undefined ? {} : { Authorization: `Bearer ${options.apiKey}` },
  });
}
