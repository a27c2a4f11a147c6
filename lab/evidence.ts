/** What is seen of the programs without a unit from outside, before the swap and after it. */
import type { Machine } from "./machine.ts";
import { DATA, lookAt } from "./places.ts";
import { LOOK_AT_REDIS } from "./services.ts";
import type { Workloads } from "./workloads.ts";

export interface SeenProcess {
  readonly pid: number;
  readonly name: string;
  readonly command: string;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** As wait(2) would give it. */
  readonly exit: number;
}

export interface Evidence {
  readonly release: string;
  /** The processes named to kmonte, and all processes below them. */
  readonly roots: readonly number[];
  readonly processes: readonly SeenProcess[];
  /** `number thread monotonic boottime realtime` per line. */
  readonly lines: string;
  readonly complaints: string;
  /** `rounds first-half-of-block` per line. */
  readonly hashes: string;
  /** The numbers that the pipeline's reader got. */
  readonly numbers: string;
  /** The replies that the client recorded, read before the counter was. */
  readonly replies: string;
  readonly counter: number;
  /** What the programs wrote on their output: complaints, as none of them has anything to say. */
  readonly logs: string;
}

export async function observe(machine: Machine, workloads: Workloads): Promise<Evidence> {
  const text = async (name: string) => (await machine.get(`${DATA}/${name}`)).toString();
  const roots = Object.values(workloads.pids);
  const replies = await text("replies");
  return {
    release: (await machine.output(["uname", "-r"])).trim(),
    roots,
    processes: JSON.parse(await machine.output(lookAt(roots))) as SeenProcess[],
    lines: await text("ticker/lines"),
    complaints: await text("ticker/complaints"),
    hashes: await text("ticker/hashes"),
    numbers: await text("numbers"),
    replies,
    counter: Number(await machine.output(LOOK_AT_REDIS.counter)),
    logs: await machine.output(["sh", "-c", `cat ${DATA}/*.log`]),
  };
}
