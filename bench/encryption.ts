/**
 * What encryption costs: `node bench/encryption.ts [MIB] [PAIRS]`, as root. In one run the same memory, full of random
 * bytes, is frozen and thawed in the clear and encrypted, in turns; prints the medians and their ratio.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatIdentity, formatRecipient, newIdentity } from "../src/image/encryption/age-keys.ts";
import { freeze, thaw } from "../src/index.ts";
import { program } from "./loads.ts";

const [mebibytes = "512", pairs = "3"] = process.argv.slice(2);
const directory = mkdtempSync("/dev/shm/kmonte-encryption-");
const identity = newIdentity();
const key = join(directory, "key");
writeFileSync(key, formatIdentity(identity), { mode: 0o600 });

interface Times {
  readonly write: number;
  readonly verify: number;
  readonly build: number;
}

async function once(pid: number, encrypt: boolean): Promise<Times> {
  const image = join(directory, "image");
  const options = encrypt ? { encryptTo: [formatRecipient(identity.recipient)] } : {};
  const frozen = await freeze({ pids: [pid], directory: image, end: "kill", ...options });
  const thawed = await thaw({ directory: image, identities: [key] });
  rmSync(image, { recursive: true });
  const took = (steps: typeof frozen.steps, name: string): number =>
    steps.filter(({ step }) => step === name).reduce((sum, { start, end }) => sum + end - start, 0);
  const { steps } = thawed;
  return { write: took(frozen.steps, "write"), verify: took(steps, "verify"), build: took(steps, "build") };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

try {
  const pid = await program(directory, "random", [], [mebibytes]);
  const runs: { plain: Times[]; sealed: Times[] } = { plain: [], sealed: [] };
  try {
    for (let pair = 0; pair < Number(pairs); pair += 1) {
      runs.plain.push(await once(pid, false));
      runs.sealed.push(await once(pid, true));
    }
  } finally {
    process.kill(pid, "SIGKILL");
    await sleep(100);
  }
  for (const step of ["write", "verify", "build"] as const) {
    const [plain, sealed] = [runs.plain, runs.sealed].map((times) => median(times.map((one) => one[step])));
    const rate = (ms = Number.NaN): string =>
      `${Math.round(ms)} ms (${Math.round(Number(mebibytes) / (ms / 1000))} MiB/s)`;
    const ratio = ((sealed ?? 0) / (plain ?? 1)).toFixed(2);
    process.stdout.write(`${step.padEnd(7)} in the clear ${rate(plain)}, encrypted ${rate(sealed)}, ratio ${ratio}\n`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
