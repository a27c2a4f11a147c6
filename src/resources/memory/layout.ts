/** Where an address space keeps its parts, as /proc shows them: prctl(2) PR_SET_MM_MAP. */
import * as v from "valibot";
import { readFileSync, readlinkSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { PR, PR_SET_MM_MAP } from "../../abi/prctl.ts";
import { stat } from "../../sys/stat.ts";
import { hex, hexSchema } from "../../lib/hex.ts";
import type { ProcessResource } from "../contract.ts";
import { contentsObject, type ContentsHandle } from "../file/contents.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** In the order of struct prctl_mm_map (include/uapi/linux/prctl.h). */
const FIELDS = [
  "startCode",
  "endCode",
  "startData",
  "endData",
  "startBrk",
  "brk",
  "startStack",
  "argStart",
  "argEnd",
  "envStart",
  "envEnd",
] as const;

const schema = v.strictObject({
  ...(Object.fromEntries(FIELDS.map((name) => [name, hexSchema])) as Record<(typeof FIELDS)[number], typeof hexSchema>),
  /** The auxiliary vector (getauxval(3)), base64. */
  auxv: v.string(),
  /** The executable, an object of contents. */
  exe: v.string(),
});

const MM_MAP_SIZE = 104;

export const layout: ProcessResource<v.InferOutput<typeof schema>, "layout"> = {
  name: "layout",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  paths: ({ exe }, _, view) => view.pathsOf(exe, 0),
  asks: { bytes: 0, calls: () => ({ brk: ["brk", 0] }) },
  freeze(process, answers) {
    const { stat: fields, pid, task } = process;
    const via = procPath(task, "exe");
    const exe = contentsObject(process.context, {
      via,
      link: readlinkSync(via),
      stat: stat(via),
      pid,
      task,
      command: process.command,
    });
    const places = { ...fields, brk: answers.attempt("brk") };
    return {
      ...(Object.fromEntries(FIELDS.map((name) => [name, hex(places[name])])) as Record<
        (typeof FIELDS)[number],
        string
      >),
      auxv: readFileSync(procPath(task, "auxv")).toString("base64"),
      exe,
    };
  },
  /** After all mappings stand, and before credentials are given up. */
  thaw(process, state) {
    const { scope } = process;
    const auxv = Buffer.from(state.auxv, "base64");
    const exe = process.context.object<ContentsHandle>(state.exe);
    const local = process.context.keep(exe.open(0));
    process.lend(local, (fd) => {
      const map = Buffer.alloc(MM_MAP_SIZE);
      FIELDS.forEach((name, i) => map.writeBigUInt64LE(BigInt(state[name]), i * 8));
      map.writeBigUInt64LE(BigInt(scope.put(auxv, 256)), 88);
      map.writeUInt32LE(auxv.length, 96);
      map.writeInt32LE(fd, 100);
      const at = scope.put(map);
      scope.call("prctl", "Laying out the address space", PR.SET_MM, PR_SET_MM_MAP, at, MM_MAP_SIZE, 0);
    });
  },
};
