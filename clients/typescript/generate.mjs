// Writes src/schema.d.ts, the types of the service's OpenAPI document: node generate.mjs URL-OR-FILE
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import openapiTS, { astToString } from "openapi-typescript";

const source = process.argv[2];
const document = /^https?:/.test(source) ? new URL(source) : JSON.parse(await readFile(source, "utf8"));
const ts = createRequire(import.meta.resolve("openapi-typescript"))("typescript");
const blob = ts.factory.createTypeReferenceNode("Blob"); // which a File is
const types = await openapiTS(document, {
  defaultNonNullable: false, // what has a default need not be sent
  transform: (schema) => (schema.format === "binary" ? blob : undefined),
});
await writeFile(new URL("src/schema.d.ts", import.meta.url), astToString(types));
