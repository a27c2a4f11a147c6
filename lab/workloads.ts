/** Programs that no unit has, started in the guest as plain processes beside the server's units. */
import type { Machine } from "./machine.ts";
import { DATA, PORTS, PROGRAMS } from "./places.ts";

export interface Workloads {
  /** The processes named to kmonte, by what they are. */
  readonly pids: Readonly<Record<"counter" | "ticker" | "pipeline" | "zombie", number>>;
}

/** Starts them; the lab's programs are there, and redis is running. */
export async function startWorkloads(machine: Machine): Promise<Workloads> {
  await machine.output(["mkdir", "-p", `${DATA}/ticker`]);
  const start = (name: string, ...argv: string[]) => machine.start(argv, `${DATA}/${name}.log`);
  const python = (program: string) => ["/usr/bin/python3", "-B", `${PROGRAMS}/${program}`];
  const pids = {
    counter: await start("counter", ...python("counter.py"), String(PORTS.redis), `${DATA}/replies`),
    // Its hashing never pauses: niceness leaves the emulated processor to those who have something to do.
    ticker: await start("ticker", "nice", "-n", "19", ...python("ticker.py"), `${DATA}/ticker`),
    pipeline: await start("pipeline", `${PROGRAMS}/pipeline.sh`, `${DATA}/numbers`),
    zombie: await start("zombie", `${PROGRAMS}/zombie.sh`),
  };
  // Each must have something to lose.
  const records = ["replies", "ticker/lines", "ticker/hashes", "numbers"].map((name) => `-s ${DATA}/${name}`);
  await machine.output(["sh", "-c", `until [ ${records.join(" -a ")} ]; do sleep 0.2; done`]);
  return { pids };
}
