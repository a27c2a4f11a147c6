/**
 * `npm run deb [-- FOLDER]`: the Debian package, made by debhelper from debian/, and what lintian says of it. FOLDER is
 * out when it is not given. The version is that of debian/changelog, unless KMONTE_DEB_VERSION names another.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { KmonteError } from "../src/lib/errors.ts";
import { ensurePackages } from "./packages.ts";

const ROOT = resolve(import.meta.dirname, "..");

export const DEB_PACKAGES = ["debhelper", "lintian", "fakeroot"];

export interface DebOptions {
  /** Another version than that of debian/changelog. */
  readonly version?: string;
  /** How much xz(1) compresses, 0 to 9. */
  readonly level?: number;
}

/** Makes the package in `folder`, and gives its path. */
export function makeDeb(folder: string, { version, level }: DebOptions = {}): string {
  ensurePackages(DEB_PACKAGES);
  mkdirSync(folder, { recursive: true });
  const env = {
    ...process.env,
    KMONTE_DEB_FOLDER: folder,
    ...(version !== undefined && { KMONTE_DEB_VERSION: version }),
    ...(level !== undefined && { KMONTE_DEB_LEVEL: String(level) }),
  };
  for (const target of ["clean", "binary"]) {
    const run = spawnSync("fakeroot", ["debian/rules", target], { cwd: ROOT, env, encoding: "utf8" });
    if (run.status !== 0) throw notMade(run.error?.message ?? run.stderr);
  }
  const made = readdirSync(folder).filter((name) => /^kmonte_.*_amd64\.deb$/.test(name));
  const wanted = version === undefined ? made.at(-1) : made.find((name) => name.includes(`_${version}_`));
  if (wanted === undefined) throw notMade(`${folder} holds no package of it.`);
  return join(folder, wanted);
}

/** What lintian finds; nothing when all is well. Its errors and warnings are to be none. */
export function lint(path: string): string {
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
