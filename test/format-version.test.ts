/** Whoever changes what images look like gives the format a new version: old images are converted by version. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildSchemas } from "../scripts/schema.ts";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import * as v from "valibot";
import { stateFrom1 } from "../src/image/convert/from-1.ts";
import { convertDocument } from "../src/image/convert/steps.ts";
import { FORMAT_VERSION } from "../src/image/version.ts";
import { unixConnection } from "../src/resources/socket/unix/pair.ts";
import { instancesOf, type Schema } from "./schema-instances.ts";

/** SHA-256 digests of the schemas of state.json and manifest.json, by the version of the format. */
const DIGESTS: Readonly<Record<number, string>> = {
  2: "5adadf4811f794cd74cea68ded538ba82733b9974b96ed49d512ef08391f16fa",
};

/** Words about a schema may change at any time. */
function withoutWords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutWords);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name, member]) => !(isWords(name) && typeof member === "string"));
  return Object.fromEntries(entries.map(([name, member]) => [name, withoutWords(member)]));
}

const isWords = (name: string): boolean => ["title", "description", "$comment"].includes(name);

test("the schemas of images are those of this version of the format", () => {
  const schemas = buildSchemas();
  const images = ["state.schema.json", "manifest.schema.json"].map((name) =>
    withoutWords(JSON.parse(schemas[name] ?? "")),
  );
  const digest = createHash("sha256").update(JSON.stringify(images)).digest("hex");
  assert.equal(
    digest,
    DIGESTS[FORMAT_VERSION],
    `The schemas of images have changed. Where format ${FORMAT_VERSION} has been released, count FORMAT_VERSION up and write a converter (CONTRIBUTING.md); then note the digest ${digest} here.`,
  );
});

test("names of connected unix sockets, of which there is no golden image, are converted from format 1", () => {
  const name = { name: "/proc/self/cwd/a", own: { pid: 1, directory: "/", rest: "a" } };
  const old = { kind: "unix-connection", type: "SOCK_STREAM", held: [true, false], accepted: { name }, bound: name };
  const state = stateFrom1({ format: 1, processes: [], files: {}, objects: { one: old } }, "state");
  const { objects } = v.parse(v.object({ objects: v.object({ one: unixConnection.schema }) }), state);
  assert.deepEqual(objects.one.bound?.ownName, name.own);
  assert.deepEqual(objects.one.accepted?.name.ownName, name.own);
  assert.deepEqual(objects.one.openEnds, [true, false]);
});

const GOLDEN = join(import.meta.dirname, "golden");

for (const which of ["manifest", "state"] as const) {
  test(`every member that the ${which} of format 1 could have is one of format 2`, () => {
    // As commit 83f9f46 wrote it, without descriptions.
    const old = JSON.parse(readFileSync(join(GOLDEN, `1/${which}.schema.json`), "utf8")) as Schema;
    const isOld = compile(old);
    const isNew = compile(JSON.parse(buildSchemas()[`${which}.schema.json`] ?? "") as Schema);
    const documents = instancesOf(old);
    assert.ok(documents.length > 1);
    for (const document of documents) {
      assert.ok(isOld(document), JSON.stringify(isOld.errors));
      const converted = convertDocument(which, document, 2);
      assert.ok(isNew(converted), JSON.stringify(isNew.errors?.slice(0, 3)));
    }
  });
}

/** Of format 1 in draft 7 of JSON Schema, of format 2 in that of 2020. */
function compile(schema: Schema & { readonly $schema?: string }): ReturnType<Ajv["compile"]> {
  const Kind = schema.$schema?.includes("draft-07") ? Ajv : Ajv2020;
  return new Kind({ allErrors: true, strict: false, validateFormats: false }).compile(schema);
}
