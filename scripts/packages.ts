/**
 * Debian packages that the demonstration and the tests need (QEMU, mmdebstrap, gdb …): installs what is missing.
 * As a program: `node scripts/packages.ts NAME…`.
 */
import { spawnSync } from "node:child_process";
import { KmonteError, Refusal } from "../src/errors/failure.ts";

/** The names among `names` that dpkg does not have installed. */
export function missingPackages(names: readonly string[]): string[] {
  const query = spawnSync("dpkg-query", ["-W", "-f", "${Package} ${Status}\n", ...names], { encoding: "utf8" });
  if (query.error) {
    throw new Refusal("NOT_DEBIAN", {
      what: "Cannot tell which packages are installed.",
      why: `dpkg-query does not run here: ${query.error.message}.`,
      remedy: `Use a Debian machine, or put the programs of these packages in place by hand: ${names.join(" ")}.`,
    });
  }
  const installed = new Set(
    query.stdout
      .split("\n")
      .filter((line) => line.endsWith(" installed"))
      .map((line) => line.split(" ")[0]),
  );
  return names.filter((name) => !installed.has(name));
}

/** Installs those of `names` that are missing, after one line saying so; does nothing when all are there. */
export function ensurePackages(names: readonly string[]): void {
  const missing = missingPackages(names);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0) {
    throw new Refusal("PACKAGES_MISSING", {
      what: `These Debian packages are missing: ${missing.join(" ")}.`,
      why: "Only root can install packages.",
      remedy: `Run: sudo apt-get install --no-install-recommends ${missing.join(" ")}`,
    });
  }
  process.stderr.write(`Installing Debian packages: ${missing.join(" ")}\n`);
  const install = ["install", "-y", "-q", "--no-install-recommends", ...missing];
  // The lists may be there and fresh: updating them first would cost seconds on every machine, so only when needed.
  if (aptGet(install).status === 0) return;
  const update = aptGet(["update", "-q"]);
  const second = aptGet(install);
  if (second.status === 0) return;
  throw new KmonteError("PACKAGES_NOT_INSTALLED", {
    what: `Installing ${missing.join(" ")} failed.`,
    why: lastLines(update.status === 0 ? second.stderr : update.stderr + second.stderr),
    remedy: "Look at the message of apt-get above; the network or the package sources are the usual reasons.",
  });
}

function aptGet(args: string[]): { status: number | null; stderr: string } {
  // A server is not to start just because a test needs its program: policy-rc.d of the caller's machine stays as it
  // is, but no question may wait for an answer.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", NEEDRESTART_MODE: "l" };
  const run = spawnSync("apt-get", args, { encoding: "utf8", env, maxBuffer: 64 << 20 });
  return { status: run.status, stderr: run.stderr ?? String(run.error) };
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("\n");
}

if (import.meta.main) {
  try {
    ensurePackages(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    process.stderr.write(`${error.what}\n${error.why ?? ""}\n${error.remedy ?? ""}\n`);
    process.exitCode = 1;
  }
}
