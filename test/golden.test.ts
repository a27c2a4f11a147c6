/**
 * Images of every format that there has been, written by the kmonte of that time (golden/make.ts), are converted, are
 * what the present schema says, and are thawed: their programs themselves say whether they noticed.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { convertImage } from "../src/image/convert/image.ts";
import { readIdentities, trustKey } from "../src/image/trust/keys.ts";
import type { Manifest } from "../src/image/manifest.ts";
import { readImage } from "../src/image/read.ts";
import type { FrozenState } from "../src/image/schema.ts";
import { signManifest } from "../src/image/trust/trust.ts";
import { parseMaps } from "../src/proc/maps.ts";
import { FORMAT_VERSION } from "../src/image/version.ts";
import { nameOf, unpack } from "./golden/archive.ts";
import { ENCRYPTED, KINDS, NOT_KEPT } from "./golden/programs.ts";
import { KMONTE, kmonte, parseError } from "./kmonte.ts";
import { parseResult, strictAjv } from "./json-schemas.ts";

const GOLDEN = join(import.meta.dirname, "golden");
const FORMATS = readdirSync(GOLDEN)
  .filter((name) => /^\d+$/.test(name))
  .map(Number);
const work = mkdtempSync("/var/tmp/kmonte-golden-");
/** Where images and what was around them go (golden/surroundings.sh). */
const IMAGES = "/var/tmp/kmonte-golden.work";
mkdirSync(IMAGES, { recursive: true });
// These keys are trusted nowhere else, and what is thawed here is remembered nowhere else.
process.env["KMONTE_KEYS"] = join(work, "keys");
process.env["KMONTE_STATE"] = join(work, "state");
const folders: string[] = [];
after(() => {
  for (const folder of [work, ...folders]) rmSync(folder, { recursive: true, force: true });
  // Where the surroundings mount things; somebody else may be using them.
  for (const folder of [IMAGES, "/var/tmp/kmonte-golden", "/var/tmp/kmonte-golden.here"])
    if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
});

for (const format of FORMATS)
  for (const file of readdirSync(join(GOLDEN, String(format))))
    if (file.endsWith(".pub")) trustKey(readFileSync(join(GOLDEN, String(format), file), "utf8"));

const ajv = strictAjv();

const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T;
const stateOf = (image: string): FrozenState => readJson(join(image, "state.json"));
const manifestOf = (image: string): Manifest => readJson(join(image, "manifest.json"));

function namesOf(format: number): string[] {
  return readdirSync(join(GOLDEN, String(format)))
    .flatMap((file) => nameOf(file) ?? [])
    .filter((name) => name !== ENCRYPTED);
}

/** The bytes of this kernel's vDSO (vdso(7)), base64. */
const VDSO = ownVdso();

function ownVdso(): string {
  const vdso = parseMaps(readFileSync("/proc/self/maps", "utf8")).find(({ path }) => path === "[vdso]");
  assert.ok(vdso, "this kernel has no vDSO");
  const bytes = Buffer.alloc(vdso.end - vdso.start);
  const memory = openSync("/proc/self/mem", "r");
  readSync(memory, bytes, 0, bytes.length, vdso.start);
  closeSync(memory);
  return bytes.toString("base64");
}

/** Whether a program compares its whole address space (maps_check of memory-maps.h). */
const comparesMaps = (name: string): boolean => {
  const source = join(import.meta.dirname, "programs", `${name}.c`);
  return existsSync(source) && readFileSync(source, "utf8").includes("maps_check();");
};

/**
 * What the program of an image says when it has noticed nothing. Where the kernel has another vDSO, one that compares
 * its whole address space sees that the old one is ordinary memory by now (src/resources/memory/vdso.x86_64.ts): the
 * first mapping that differs must be that of the vDSO.
 */
function unnoticed(name: string, image: string): RegExp {
  const isSame = stateOf(image).processes.every(({ body }) => !body || body.vdso.code === VDSO);
  if (isSame || !comparesMaps(name)) return /^PASS$/m;
  return /^was: .*\[vvar\]\nnow: .*\nFAIL: the address space is not the same$/m;
}

/** A copy of a golden image, in a folder with what was around it. */
function take(format: number, name: string): { readonly folder: string; readonly image: string } {
  const folder = mkdtempSync(join(IMAGES, `${name}-`));
  folders.push(folder);
  unpack(join(GOLDEN, String(format), `${name}.tar.zst`), folder);
  return { folder, image: join(folder, "image") };
}

function assertOfThisFormat(image: string): void {
  for (const name of ["state", "manifest"]) {
    const validate = ajv.getSchema(`${name}.schema.json`);
    assert.ok(validate);
    const valid = validate(readJson(join(image, `${name}.json`)));
    assert.ok(valid, `${name}.json: ${JSON.stringify(validate.errors?.slice(0, 5), undefined, 1)}`);
  }
}

/** All but what was converted is as it was, and is said to come from the same machine and time. */
function assertSameOtherwise(before: string, now: string): void {
  const [old, converted] = [manifestOf(before), manifestOf(now)];
  const rest = ({ files }: Manifest) => files.filter(({ name }) => name !== "state.json");
  assert.deepEqual(rest(converted), rest(old));
  assert.deepEqual([converted.machine, converted.createdAt], [old.machine, old.createdAt]);
}

/** Thaws an image of a folder in such surroundings as it was frozen in, and returns what its program says. */
function thawInside(folder: string, image: string, ...options: string[]): string {
  // The program itself, and not what it was started through.
  const first =
    options.length > 0 ? { pid: 10_000 } : stateOf(image).processes.find(({ command }) => command !== "inside");
  // The checkout may be in what is mounted over.
  cpSync(join(GOLDEN, "thaw.sh"), join(folder, "thaw.sh"));
  const args = [
    basename(folder),
    "sh",
    "/var/tmp/kmonte-golden.here/thaw.sh",
    KMONTE,
    basename(image),
    String(first?.pid),
    ...options,
  ];
  const { stdout, stderr } = spawnSync(join(GOLDEN, "surroundings.sh"), args, { encoding: "utf8", timeout: 60_000 });
  return stdout + stderr;
}

for (const format of FORMATS) {
  describe(`format ${format}`, () => {
    for (const name of namesOf(format)) {
      test(name, { timeout: 120_000 }, () => {
        const { folder, image } = take(format, name);
        let now = image;
        if (format < FORMAT_VERSION) {
          now = join(folder, "converted");
          const { from, to } = convertImage({ directory: image, output: now });
          assert.deepEqual([from, to], [format, FORMAT_VERSION]);
          assertSameOtherwise(image, now);
        }
        assertOfThisFormat(now);
        assert.match(thawInside(folder, now), unnoticed(name, now));
        rmSync(folder, { recursive: true });
      });
    }

    test("every kind of resource is in one of them", () => {
      const found = new Set<string>();
      for (const name of namesOf(format)) {
        const { folder, image } = take(format, name);
        const { processes, files, objects } = stateOf(image);
        for (const { body } of processes)
          for (const part of [body?.resources ?? {}, ...(body?.threads ?? [])])
            Object.keys(part).map((key) => found.add(key));
        for (const { kind } of Object.values(files)) found.add(`file ${kind}`);
        for (const { kind } of Object.values(objects)) found.add(`object ${kind}`);
        rmSync(folder, { recursive: true });
      }
      const missing = (KINDS[format] ?? []).filter((kind) => !found.has(kind));
      assert.deepEqual(missing.toSorted(), Object.keys(NOT_KEPT[format] ?? {}).toSorted());
    });
  });
}

/** One that holds little; any would do. */
const ANY = "eventfd";

describe("conversion", () => {
  // Each of them begins with a machine that has not thawed any of the images.
  beforeEach(() => rmSync(join(work, "state"), { recursive: true, force: true }));

  test("takes the place of the image, and a copy of the old one is the same image to the machine", () => {
    const { folder, image } = take(1, ANY);
    const copy = join(folder, "copy");
    cpSync(image, copy, { recursive: true });
    convertImage({ directory: image });
    assert.equal(manifestOf(image).format, FORMAT_VERSION);
    assertSameOtherwise(copy, image);
    assert.deepEqual(readdirSync(image).toSorted(), readdirSync(copy).toSorted());
    assert.deepEqual(readdirSync(folder).toSorted(), ["copy", "files", "image", "shm", "tmp"]);
    assert.match(thawInside(folder, image), /^PASS$/m);
    assert.throws(() => convertImage({ directory: copy }), { code: "ALREADY_THAWED" });
    assert.match(thawInside(folder, copy), /\[ALREADY_THAWED\]/);
  });

  test("a thaw converts by itself and leaves the image as it was", () => {
    const { folder, image } = take(1, ANY);
    const before = readFileSync(join(image, "manifest.json"));
    assert.match(thawInside(folder, image), /^PASS$/m);
    assert.deepEqual(readFileSync(join(image, "manifest.json")), before);
    assert.equal(stateOf(image).format, 1);
  });

  test("an image that was altered is not signed anew", () => {
    const { folder, image } = take(1, ANY);
    const output = join(folder, "converted");
    const state = join(image, "state.json");
    const text = readFileSync(state, "utf8");
    writeFileSync(state, text.replace(/"command": "e/, '"command": "f'));
    assert.throws(() => convertImage({ directory: image, output }), { code: "IMAGE_FILE_DIGEST" });
    writeFileSync(state, text);
    const manifest = join(image, "manifest.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"hostname": "k', '"hostname": "l'));
    assert.throws(() => convertImage({ directory: image, output }), { code: "SIGNATURE_WRONG" });
    assert.equal(existsSync(output), false);
  });

  test("what a format did not have is refused, and not passed over", () => {
    const { folder, image } = take(1, ANY);
    resign(image, (text) => text.replace(/"hostname": /, '"nickname": "", "hostname": '));
    const output = join(folder, "converted");
    assert.throws(
      () => convertImage({ directory: image, output }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, "FORMAT_NOT_CONVERTED");
        assert.match(error.message, /from format 1 to \d+/);
        return true;
      },
    );
    assert.equal(existsSync(output), false);
  });

  test("an image of this format stays as it is", () => {
    const { folder, image } = take(1, ANY);
    convertImage({ directory: image });
    const before = readFileSync(join(image, "manifest.json"));
    assert.equal(convertImage({ directory: image }).from, FORMAT_VERSION);
    assert.deepEqual(readFileSync(join(image, "manifest.json")), before);
    assert.throws(() => convertImage({ directory: image, output: join(folder, "other") }), { code: "FORMAT_PRESENT" });
    using read = readImage(image);
    assert.equal(read.format, FORMAT_VERSION);
  });

  test("an encrypted image stays encrypted, to the same key", () => {
    const { folder, image } = take(1, ENCRYPTED);
    const identity = join(folder, "identity");
    assert.throws(() => convertImage({ directory: image }), { code: "IMAGE_ENCRYPTED" });
    const before = manifestOf(image).files.map(({ name }) => name);
    convertImage({ directory: image, identities: readIdentities(identity) });
    const { format, files } = manifestOf(image);
    assert.equal(format, FORMAT_VERSION);
    assert.deepEqual(files.map(({ name }) => name).toSorted(), before.toSorted());
    assert.ok(files.every(({ name }) => name.endsWith(".age")));
    assert.equal(readFileSync(join(image, "state.json.age")).includes("eventfd"), false);
    assert.match(thawInside(folder, image, "-i", "/var/tmp/kmonte-golden.here/identity"), /^PASS$/m);
  });

  test("kmonte convert", async () => {
    const { folder, image } = take(1, ANY);
    const output = join(folder, "converted");
    for (const [from, to, args] of [
      [1, output, ["-o", output]],
      [1, image, []],
      [FORMAT_VERSION, image, []],
    ] as const) {
      const { status, stdout, stderr } = await kmonte("convert", image, ...args, "--json");
      assert.equal(status, 0, stdout + stderr);
      assert.deepEqual(parseResult("convert", stdout), { directory: to, from, to: FORMAT_VERSION });
      assertOfThisFormat(to);
    }
  });

  test("one of a newer kmonte is refused, with both versions", async () => {
    const { image } = take(1, ANY);
    resign(image, (text) => text.replace(/"format": \d+/, '"format": 4711'));
    for (const action of ["thaw", "inspect"]) {
      const outcome = await kmonte(action, image, "--json");
      assert.equal(outcome.status, 3, outcome.stdout + outcome.stderr);
      assert.equal(parseError(outcome).code, "FORMAT_NEWER");
      assert.match(outcome.stdout, new RegExp(`format 4711.*up to ${FORMAT_VERSION}`));
    }
  });
});

/** Changes the manifest of an image and signs it with this test's own key. */
function resign(image: string, change: (text: string) => string): void {
  const path = join(image, "manifest.json");
  const text = change(readFileSync(path, "utf8"));
  writeFileSync(path, text);
  writeFileSync(`${path}.minisig`, signManifest(Buffer.from(text)));
}
