/**
 * `npm run deb [-- FOLDER]`: the Debian package, made by debhelper from debian/, and what lintian says of it. FOLDER is
 * out when it is not given.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { KmonteError } from "../src/errors/failure.ts";
import { ensurePackages } from "./packages.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** What the package is made from; debhelper writes into debian/, so that this is a copy. */
export const DEB_SOURCES = [
  ...["bin", "debian", "docs", "man", "schema", "scripts", "src", "systemd"],
  ...["LICENSE", "README.md", "SECURITY.md", "package-lock.json", "package.json"],
];

export interface DebOptions {
  /** Another version than that of debian/changelog. */
  readonly version?: string;
  /** How dpkg-deb(1) compresses it: xz when it is not given; none is quick. */
  readonly compression?: "xz" | "none";
}

/** Makes the package in `folder`, and gives its path. */
export function makeDeb(folder: string, { version = "", compression = "xz" }: DebOptions = {}): string {
  ensurePackages(["debhelper"]);
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "kmonte-deb-"));
  try {
    for (const name of DEB_SOURCES) cpSync(join(ROOT, name), join(work, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(work, "node_modules"));
    const out = join(work, "out");
    mkdirSync(out);
    const settings = { KMONTE_DEB_FOLDER: out, KMONTE_DEB_VERSION: version, KMONTE_DEB_COMPRESSION: compression };
    const env = { ...process.env, ...settings };
    const run = spawnSync("debian/rules", ["binary"], { cwd: work, env, encoding: "utf8", maxBuffer: 64 << 20 });
    const [name] = readdirSync(out);
    if (run.status !== 0 || name === undefined) throw notMade(run.error?.message ?? run.stderr);
    cpSync(join(out, name), join(folder, name));
    return join(folder, name);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What lintian finds; nothing when all is well. Its errors and warnings are to be none. */
export function lint(path: string): string {
  ensurePackages(["lintian"]);
  const run = spawnSync("lintian", ["--allow-root", "--no-cfg", "--fail-on", "none", path], { encoding: "utf8" });
  return (run.stdout + run.stderr).trim();
}

function notMade(why: string): KmonteError {
  return new KmonteError("DEB_NOT_MADE", {
    what: "The Debian package could not be made.",
    why: why.trim().split("\n").slice(-10).join("\n"),
    remedy: "Run npm ci before; debian/rules says what is called.",
  });
}

if (import.meta.main) {
  try {
    const path = makeDeb(resolve(process.argv[2] ?? join(ROOT, "out")));
    process.stdout.write(`${path}\n`);
    const found = lint(path);
    if (found !== "") process.stdout.write(`${found}\n`);
    process.exitCode = /^[EW]:/m.test(found) ? 1 : 0;
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
    process.exitCode = 1;
  }
}
