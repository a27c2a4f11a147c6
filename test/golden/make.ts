/**
 * Makes golden images: small images of programs that check themselves, one or more of each kind of resource, by any
 * checkout of kmonte. As root, on Debian with musl-tools:
 *
 *     node test/golden/make.ts --kmonte CHECKOUT/bin/kmonte --out test/golden/FORMAT [NAME…]
 *
 * Each becomes NAME.tar.zst: `image/`, and what was in /var/tmp/kmonte-golden (with the program), /tmp and /dev/shm at
 * the freeze. They are signed with a key that is made for it and kept nowhere; its public half is ID.pub.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parsePublicKey } from "../../src/image/trust/minisign.ts";
import { directive } from "../harness.ts";
import { pack } from "./archive.ts";
import { ENCRYPTED, ENCRYPTED_PROGRAM, PROGRAMS } from "./programs.ts";

const HERE = import.meta.dirname;
const FOLDERS = [join(HERE, "programs"), join(HERE, "../programs")];
const MUSL = ["-static", "-Os", "-s", "-w", "-pthread"];
/** musl-tools comes without the kernel's headers. */
const HEADERS = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"];
/** Tells the images' program from any other; whole seconds keep on all file systems. */
const MADE = new Date("2026-11-28T00:00:00Z");

const { values, positionals } = parseArgs({
  options: { kmonte: { type: "string" }, out: { type: "string" } },
  allowPositionals: true,
});
if (values.kmonte === undefined || values.out === undefined)
  throw new Error("usage: make.ts --kmonte KMONTE --out DIR [NAME…]");
const kmonte = resolve(values.kmonte);
const out = resolve(values.out);

/** Where the surroundings expect it. */
const WORK = "/var/tmp/kmonte-golden.work";
const machine = mkdtempSync("/var/tmp/kmonte-golden-");
const keys = join(machine, "keys");
const env = { ...process.env, KMONTE_KEYS: keys, KMONTE_STATE: join(machine, "state") };
try {
  mkdirSync(out, { recursive: true });
  let all = 0;
  for (const name of positionals.length > 0 ? positionals : [...PROGRAMS, ENCRYPTED]) {
    const size = make(name);
    all += size;
    console.log(`${name}: ${size}`);
  }
  console.log(`${all} bytes`);
} finally {
  rmSync(machine, { recursive: true, force: true });
}

function sourceOf(name: string): string {
  const found = FOLDERS.map((folder) => join(folder, `${name}.c`)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`there is no program ${name}`);
  return found;
}

function compileTo(folder: string, name: string): void {
  const source = sourceOf(name);
  const to = join(folder, name);
  const include = ["-I", join(HERE, "../programs")];
  execFileSync("musl-gcc", [...MUSL, "-o", to, source, join(HERE, "programs/musl.c"), ...include, ...HEADERS], {
    stdio: "inherit",
  });
  utimesSync(to, MADE, MADE);
}

function make(name: string): number {
  const program = name === ENCRYPTED ? ENCRYPTED_PROGRAM : name;
  mkdirSync(WORK, { recursive: true });
  const folder = mkdtempSync(join(WORK, `${name}-`));
  const files = join(folder, "files");
  mkdirSync(files);
  compileTo(files, program);
  const types = directive(readFileSync(sourceOf(program), "utf8"), "unshare");
  if (types !== undefined) compileTo(files, "inside");
  const args = [
    basename(folder),
    "bash",
    join(HERE, "freeze.sh"),
    kmonte,
    program,
    types ?? "",
    ...encrypting(name, folder),
  ];
  const { status, stderr } = spawnSync(join(HERE, "surroundings.sh"), args, { env, encoding: "utf8" });
  if (status !== 0) throw new Error(`${name} was not frozen:\n${stderr}`);
  const signer = join(keys, "machine.pub");
  copyFileSync(signer, join(out, `${parsePublicKey(readFileSync(signer, "utf8")).id}.pub`));
  const size = pack(folder, out, name);
  rmSync(folder, { recursive: true });
  return size;
}

/** Options of freeze; the key that opens the image, made for this one alone, comes into the archive as `identity`. */
function encrypting(name: string, folder: string): string[] {
  if (name !== ENCRYPTED) return [];
  const made = execFileSync(kmonte, ["key", "new", "--encryption", "--json"], { env, encoding: "utf8" });
  renameSync(join(keys, "encryption.key"), join(folder, "identity"));
  return ["--encrypt-to", (JSON.parse(made) as { recipient: string }).recipient];
}
