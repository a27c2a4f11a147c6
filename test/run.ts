/**
 * What `npm test` runs: every test file, the type check and lint among them (check.test.ts), after installing the
 * Debian packages that they need. Words on the command line choose files: `npm test -- cli lab/parts`.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { KmonteError } from "../src/lib/errors.ts";
import { ensurePackages } from "../scripts/packages.ts";

const ROOT = join(import.meta.dirname, "..");

/** Compilers, debuggers and the programs that are frozen; the lab installs what it needs by itself. */
const PACKAGES =
  "gcc libc6-dev gdb elfutils jq redis-server python3 cpio util-linux procps iproute2 man-db minisign nftables age wrk nginx-light redis-tools".split(
    " ",
  );

/** One file at a time on each core, of two at most: tests that watch clocks do not bear a crowded machine. */
const CONCURRENCY = 2;

function files(words: readonly string[]): string[] {
  const all = globSync("test/**/*.test.ts", { cwd: ROOT }).sort();
  // Longest first: the virtual machine's test shares the time with all others.
  const byLength = all.toSorted((a, b) => Number(b.includes("lab/swap.")) - Number(a.includes("lab/swap.")));
  return words.length === 0 ? byLength : byLength.filter((file) => words.some((word) => file.includes(word)));
}

function run(): number {
  const chosen = files(process.argv.slice(2));
  if (chosen.length === 0) {
    process.stderr.write(`No test file has ${process.argv.slice(2).join(" or ")} in its name.\n`);
    return 2;
  }
  ensurePackages(PACKAGES);
  const state = join(mkdtempSync(join(tmpdir(), "kmonte-tests-")), "failed.json");
  try {
    const status = runTests(chosen, state, CONCURRENCY);
    if (status === 0) return 0;
    // Real programs on a crowded machine: what fails among others gets one more chance by itself, and says so.
    process.stdout.write("\nSome tests failed; each of them once more, one at a time:\n\n");
    return runTests(chosen, state, 1);
  } finally {
    rmSync(dirname(state), { recursive: true, force: true });
  }
}

function runTests(chosen: readonly string[], state: string, concurrency: number): number {
  const flags = [
    "--disable-warning=ExperimentalWarning",
    "--test",
    `--test-concurrency=${concurrency}`,
    "--test-timeout=3000000",
  ];
  const args = [...flags, `--test-rerun-failures=${state}`, ...chosen];
  // Nobody answers questions here.
  // What they thaw is not for the machine to remember.
  const env = { ...process.env, KMONTE_STATE: join(dirname(state), "state") };
  return spawnSync(process.execPath, args, { cwd: ROOT, env, stdio: ["ignore", "inherit", "inherit"] }).status ?? 1;
}

try {
  process.exitCode = run();
} catch (error) {
  if (!(error instanceof KmonteError)) throw error;
  process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
  process.exitCode = 1;
}
