/** The programs that live through the demonstration, started in the guest as plain processes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "./machine.ts";

const PROGRAMS = "/usr/local/lib/lab/workloads";
const REDIS_PORT = "6379";

/** Where the workloads keep their files in the guest: on its disk, as /run and /tmp do not outlive a boot. */
export const DATA = "/var/lib/lab";

export interface Workloads {
  /** The processes named to kmonte, by what they are. */
  readonly pids: Readonly<Record<"redis" | "counter" | "ticker" | "pipeline" | "zombie", number>>;
}

export interface WorkloadOptions {
  /** How much data redis holds. */
  readonly mebibytes: number;
  readonly onStep?: (step: string) => void;
}

export async function startWorkloads(machine: Machine, options: WorkloadOptions): Promise<Workloads> {
  const step = options.onStep ?? (() => {});
  const programs = join(import.meta.dirname, "workloads");
  for (const name of readdirSync(programs)) {
    await machine.put(`${PROGRAMS}/${name}`, readFileSync(join(programs, name)), 0o755);
  }
  await machine.output(["mkdir", "-p", `${DATA}/redis`, `${DATA}/ticker`]);
  const start = (name: string, ...argv: string[]) => machine.start(argv, `${DATA}/${name}.log`);
  const python = (program: string) => ["/usr/bin/python3", "-B", `${PROGRAMS}/${program}`];

  step(`redis-server, ${options.mebibytes} MiB`);
  const settings = ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--save", "", "--dir", `${DATA}/redis`];
  const redis = await start("redis", "redis-server", ...settings);
  await machine.output(["sh", "-c", `until redis-cli -p ${REDIS_PORT} ping; do sleep 0.2; done`]);
  await machine.output([...python("redis_load.py"), REDIS_PORT, String(options.mebibytes)]);

  step("counter, threads, pipeline, zombie");
  const pids = {
    redis,
    counter: await start("counter", ...python("counter.py"), REDIS_PORT, `${DATA}/replies`),
    // Its hashing never pauses: niceness leaves the emulated processor to those who have something to do.
    ticker: await start("ticker", "nice", "-n", "10", ...python("ticker.py"), `${DATA}/ticker`),
    pipeline: await start("pipeline", `${PROGRAMS}/pipeline.sh`, `${DATA}/numbers`),
    zombie: await start("zombie", `${PROGRAMS}/zombie.sh`),
  };
  // Each must have something to lose.
  const records = ["replies", "ticker/lines", "ticker/hashes", "numbers"].map((name) => `-s ${DATA}/${name}`);
  await machine.output(["sh", "-c", `until [ ${records.join(" -a ")} ]; do sleep 0.2; done`]);
  return { pids };
}

/** Commands that look at the workloads from outside. */
export const LOOK = {
  processes: (pids: readonly number[]) => ["python3", "-B", `${PROGRAMS}/look.py`, ...pids.map(String)],
  redisDigest: ["python3", "-B", `${PROGRAMS}/redis_digest.py`, REDIS_PORT],
  redisCounter: ["redis-cli", "-p", REDIS_PORT, "-n", "1", "get", "counter"],
} as const;
