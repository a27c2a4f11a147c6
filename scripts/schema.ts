/**
 * Writes schema/: the JSON Schema of an image's state.json and manifest.json and of a swap's timeline.json, made from the
 * very schemas that kmonte reads them with. `node scripts/schema.ts`; a test checks that what is committed is current.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
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
  };
}

/** What JSON Schema has no word for (functions that check) is left out: the schema is a little wider than the reader. */
function convert(schema: GenericSchema): Json {
  const { $schema: _, ...rest } = toJsonSchema(schema, { errorMode: "ignore", typeMode: "input" }) as Json;
  return rest;
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
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title };
  return `${JSON.stringify({ ...head, ...schema }, undefined, 2)}\n`;
}

if (import.meta.main) {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const [name, text] of Object.entries(buildSchemas())) writeFileSync(join(DIRECTORY, name), text);
}
