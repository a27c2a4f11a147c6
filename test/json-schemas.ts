/**
 * Validates what kmonte prints with --json by the files in schema/, in the strict mode of ajv, and without any key that they
 * do not describe: for those who read them the schemas leave room for keys that are still to come.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { resultFile } from "../scripts/schema.ts";

export type Json = Readonly<Record<string, unknown>>;

export const SCHEMAS = join(import.meta.dirname, "../schema");

export function readSchema(file: string): Json {
  return JSON.parse(readFileSync(join(SCHEMAS, file), "utf8")) as Json;
}

/** In its strict mode, with the schemas that others refer to. */
export function strictAjv(): Ajv2020 {
  const isTimestamp = (text: string): boolean => !Number.isNaN(Date.parse(text));
  const ajv = new Ajv2020({ strict: true, allErrors: true, formats: { "date-time": isTimestamp } });
  for (const file of ["state.schema.json", "manifest.schema.json"]) ajv.addSchema(readSchema(file), file);
  return ajv;
}

/** The same schema, for which a key that it does not describe is wrong. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return "properties" in schema ? { additionalProperties: false, ...inner } : inner;
}

let ajv: Ajv2020 | undefined;
const validators = new Map<string, ValidateFunction>();

/** For a name of RESULTS in src/cli/json/results.ts, such as "thaw --boot". */
function validatorOf(name: string): ValidateFunction {
  const found = validators.get(name);
  if (found) return found;
  const schema = closed(readSchema(resultFile(name.replace(/ --.*/, "")))) as Json;
  const variants = schema["anyOf"] as readonly Json[] | undefined;
  const one = variants ? variants.find(({ title }) => title === `kmonte ${name}`) : schema;
  assert.ok(one, `schema/ has nothing for ${name}`);
  ajv ??= strictAjv();
  const validate = ajv.compile(one);
  validators.set(name, validate);
  return validate;
}

/** What a command has printed, once it has been found to be one valid JSON object. */
export function parseResult<T = Json>(name: string, printed: string | Buffer): T {
  const value = JSON.parse(printed.toString()) as T;
  const validate = validatorOf(name);
  assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors, undefined, 1)}\n${printed.toString()}`);
  return value;
}
