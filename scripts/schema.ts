/**
 * Writes schema/: the JSON Schema (2020-12) of an image's state.json and manifest.json and of a swap's timeline.json, made
 * from the very schemas that kmonte reads them with, and of what each command prints with --json, made from the schemas
 * that the printing code has its types from. `node scripts/schema.ts`; a test checks that what is committed is current.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import { RESULTS } from "../src/cli/json/results.ts";
import { manifestSchema } from "../src/image/manifest.ts";
import { stateSchema } from "../src/image/schema.ts";
import { FORMAT_VERSION } from "../src/image/version.ts";
import { swapRecordSchema } from "../src/swap/store.ts";
import { fileKinds, objectKinds } from "../src/resources/registry.ts";

type Json = Record<string, unknown>;

const IMAGE = `kmonte format ${FORMAT_VERSION}`;
const DIRECTORY = join(import.meta.dirname, "../schema");

/** All files of schema/ by name, as text. */
export function buildSchemas(): Record<string, string> {
  return {
    "state.schema.json": format(`${IMAGE}: state.json of a frozen image`, withKinds(convert(stateSchema))),
    "manifest.schema.json": format(`${IMAGE}: manifest.json of a frozen image`, convert(manifestSchema)),
    "timeline.schema.json": format("kmonte: timeline.json, the record of a swap", convert(swapRecordSchema)),
    ...buildResultSchemas(),
  };
}

/** The file of schema/ for what a command prints with --json; `name` is its words, such as "key list", or "error". */
export function resultFile(name: string): string {
  return name === "error" ? "error.schema.json" : `kmonte-${name.replaceAll(" ", "-")}.schema.json`;
}

/** One file for each command; where its options make a difference, the schemas of all that it may print. */
function buildResultSchemas(): Record<string, string> {
  const commands = Map.groupBy(Object.entries(RESULTS), ([name]) => name.replace(/ --.*/, ""));
  const files = [...commands].map(([command, results]): [string, string] => {
    const schemas = results.map(([name, schema]) => ({ title: `kmonte ${name}`, ...resultSchema(name, schema) }));
    const [first = {}, ...more] = schemas;
    const one = more.length === 0 ? first : { anyOf: schemas };
    const title = command === "error" ? "kmonte: any command with --json, when it fails" : `kmonte ${command} --json`;
    return [resultFile(command), format(title, one)];
  });
  return Object.fromEntries(files);
}

/** An image's files have schemas of their own. */
function resultSchema(name: string, schema: GenericSchema): Json {
  const json = convert(schema);
  if (name !== "inspect") return json;
  const properties = Object.entries(json["properties"] as Record<string, Json>).map(([key, { description }]) => [
    key,
    { $ref: `${key}.schema.json`, description },
  ]);
  return { ...json, properties: Object.fromEntries(properties) as Json };
}

/** What JSON Schema has no word for (functions that check) is left out: the schema is a little wider than the reader. */
function convert(schema: GenericSchema): Json {
  const { $schema: _, ...rest } = toJsonSchema(schema, {
    target: "draft-2020-12",
    errorMode: "ignore",
    typeMode: "input",
    overrideSchema: ({ jsonSchema }) => wholeTuple(jsonSchema),
  }) as Json;
  return rest;
}

/** In JSON Schema a tuple may be shorter and longer, unless it says otherwise. */
function wholeTuple<T extends { prefixItems?: unknown[]; items?: unknown }>(schema: T): T | undefined {
  const { prefixItems, items = false } = schema;
  return prefixItems && { ...schema, minItems: prefixItems.length, items };
}

/** Reading looks at a file's or an object's state when its kind is known; the published schema says it all at once. */
function withKinds(schema: Json): Json {
  const properties = schema["properties"] as Record<string, Json>;
  const files = properties["files"]?.["additionalProperties"] as Json;
  const objects = properties["objects"] as Json;
  files["anyOf"] = fileKinds.map(({ name, schema: state }) => ({
    title: name,
    properties: { kind: { const: name }, state: convert(state) },
  }));
  objects["additionalProperties"] = {
    anyOf: objectKinds.map((kind) => Object.assign({ title: kind.name }, convert(kind.schema))),
  };
  return schema;
}

function format(title: string, schema: Json): string {
  const head = { $schema: "https://json-schema.org/draft/2020-12/schema", title };
  return `${JSON.stringify({ ...head, ...schema, title }, undefined, 2)}\n`;
}

if (import.meta.main) {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const [name, text] of Object.entries(buildSchemas())) writeFileSync(join(DIRECTORY, name), text);
}
