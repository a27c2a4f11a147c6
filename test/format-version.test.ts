/** Whoever changes what images look like gives the format a new version: old images are converted by version. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { buildSchemas } from "../scripts/schema.ts";
import * as v from "valibot";
import { stateFrom1 } from "../src/image/convert/from-1.ts";
import { FORMAT_VERSION } from "../src/image/version.ts";
import { unixConnection } from "../src/resources/socket/unix/pair.ts";

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
