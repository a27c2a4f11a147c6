/**
 * The fault sweep: `node --import ./test/faults/inject.ts test/faults/run.ts PROGRAM… [--sample N] [--seed N]
 * [--what freeze,thaw] [--kinds fail,kill,end] [--slice K/N]`. Without `--sample`, everything: hours, which can be had
 * in N slices, each of them spread evenly over all steps.
 *
 * It counts the steps of an undisturbed freeze and thaw of each program, and then lets each go wrong, so that steps
 * that are added to kmonte are swept without anybody writing a test for them.
 */
import { parseArgs } from "node:util";
import { allFaults, choose, someFaults, type Fault } from "./faults.ts";
import { Sweep } from "./sweep.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    what: { type: "string", default: "freeze,thaw" },
    kinds: { type: "string", default: "fail,kill,end" },
    only: { type: "string" },
    slice: { type: "string", default: "1/1" },
    verbose: { type: "boolean", default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const kinds = values.kinds.split(",") as Fault["kind"][];
const seed = Number(values.seed);
const [slice = 1, slices = 1] = values.slice.split("/").map(Number);
let failed = 0;
say(`seed ${seed}`);
for (const source of positionals) {
  const sweep = new Sweep(source, (text) => say(`  ${text}`));
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.once(signal, () => void sweep.abandon().then(() => process.exit(130)));
  const steps = await sweep.count();
  for (const what of ["freeze", "thaw"] as const) {
    if (!values.what.split(",").includes(what)) continue;
    const counts = steps[what];
    const all = (values.sample === undefined ? allFaults : someFaults)(counts, kinds).filter(
      ({ name }) => values.only === undefined || name.includes(values.only),
    );
    const chosen =
      values.sample === undefined
        ? all.filter((_, i) => i % slices === slice - 1)
        : choose(all, Number(values.sample), seed);
    for (const fault of chosen) {
      if (values.verbose) say(`  ${what} ${JSON.stringify(fault)}`);
      await (what === "freeze" ? sweep.freezeWith(fault) : sweep.thawWith(fault));
    }
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    say(`${source} ${what}: ${total} steps of ${counts.size} kinds, ${chosen.length} faults`);
  }
  try {
    await sweep.finish();
  } catch (error) {
    sweep.tally.failures.push(`at the end: ${(error as Error).message}`);
  }
  const { runs, hits, tolerated, failures } = sweep.tally;
  say(`${source}: ${runs} runs, ${hits} faults met, ${tolerated} of them borne; ${failures.length} failures`);
  for (const failure of failures) say(`  FAILED ${failure}`);
  failed += failures.length;
}
process.exitCode = failed === 0 ? 0 : 1;
