/**
 * What `npm test` runs: every test file, the type check and lint among them (check.test.ts), after installing the
 * Debian packages that they need. Words on the command line choose files: `npm test -- cli lab/parts`. The command
 * `kmonte` is what is released, which starts in a third of the time; a test file that is run by itself runs the sources.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, globSync } from "node:fs";
import { join } from "node:path";
import { KmonteError } from "../src/lib/errors.ts";
import { atEnd, temporaryDirectory } from "../lab/lifetime.ts";
import { ensurePackages } from "../scripts/packages.ts";
import { writeReleaseTree } from "../scripts/release-tree.ts";

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

async function run(): Promise<number> {
  const chosen = files(process.argv.slice(2));
  if (chosen.length === 0) {
    process.stderr.write(`No test file has ${process.argv.slice(2).join(" or ")} in its name.\n`);
    return 2;
  }
  ensurePackages(PACKAGES);
  using work = temporaryDirectory("kmonte-tests-");
  // Some tests run the command as another user.
  chmodSync(work.path, 0o755);
  const tree = join(work.path, "kmonte");
  await writeReleaseTree(tree);
  const environment = { KMONTE_TREE: tree, KMONTE_STATE: join(work.path, "state") };
  const failed = join(work.path, "failed.json");
  if ((await runTests(chosen, { failed, environment, concurrency: CONCURRENCY })) === 0) return 0;
  // Real programs on a crowded machine: what fails among others gets one more chance by itself, and says so.
  process.stdout.write("\nSome tests failed; each of them once more, one at a time:\n\n");
  return runTests(chosen, { failed, environment, concurrency: 1 });
}

interface TestRun {
  /** Where it is kept which tests have failed. */
  readonly failed: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly concurrency: number;
}

async function runTests(chosen: readonly string[], { failed, environment, concurrency }: TestRun): Promise<number> {
  const flags = [
    "--disable-warning=ExperimentalWarning",
    "--test",
    `--test-concurrency=${concurrency}`,
    "--test-timeout=3000000",
    `--test-rerun-failures=${failed}`,
  ];
  // Nobody answers questions here.
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [...flags, ...chosen], {
    cwd: ROOT,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  using _ending = atEnd(() => child.kill());
  const [status] = (await once(child, "close")) as [number | null];
  return status ?? 1;
}

try {
  process.exitCode = await run();
} catch (error) {
  if (!(error instanceof KmonteError)) throw error;
  process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
  process.exitCode = 1;
}
