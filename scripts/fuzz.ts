/**
 * Damages what the readers read, for as long as asked: `node scripts/fuzz.ts [SECONDS] [SEED]`. Prints how many turns
 * each reader took, its slowest turn, and stops at the first defect with the seed that shows it.
 */
import { random } from "../test/fuzz/mutate.ts";
import { readers } from "../test/fuzz/readers.ts";
import { makeSamples } from "../test/fuzz/samples.ts";

const [seconds = "60", first = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
const all = readers(await makeSamples());
const share = (Number(seconds) * 1000) / all.length;
let total = 0;
for (const { name, turn } of all) {
  const end = performance.now() + share;
  let seed = Number(first);
  let slowest = 0;
  for (let now = performance.now(); now < end; seed += 1) {
    try {
      turn(random(seed));
    } catch (error) {
      process.stderr.write(`${name}, seed ${seed}:\n`);
      throw error;
    }
    const after = performance.now();
    slowest = Math.max(slowest, after - now);
    now = after;
  }
  const turns = seed - Number(first);
  total += turns;
  process.stdout.write(`${name.padEnd(22)} ${String(turns).padStart(9)} turns, slowest ${slowest.toFixed(1)} ms\n`);
}
const { rss } = process.memoryUsage();
process.stdout.write(`${total} turns from seed ${first} in ${seconds} s; ${Math.round(rss / 2 ** 20)} MiB resident\n`);
