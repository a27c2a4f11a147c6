/** A BPF map (bpf(2)) whose entries can be read and written one by one: its shape and all entries. */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { BPF_F_RDONLY, BPF_F_WRONLY, BPF_MAP_TYPE } from "../../abi/bpf.ts";
import { readFileSync } from "../../sys/files.ts";
import { bpfMapInfo, createBpfMap, freezeBpfMap, openBpfMap, readBpfMap, writeBpfMap } from "../../sys/bpf.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { failures } from "../../errors/catalogue.ts";
import { nameOf } from "../../lib/flags.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import type { ContentsHandle } from "../file/contents.ts";

type TypeName = keyof typeof BPF_MAP_TYPE;

const schema = v.strictObject({
  kind: v.literal("bpf-map"),
  type: v.picklist(Object.keys(BPF_MAP_TYPE) as TypeName[]),
  name: v.string(),
  keySize: v.number(),
  valueSize: v.number(),
  maxEntries: v.number(),
  /** BPF_F_… bits. */
  flags: v.number(),
  /** BPF_MAP_FREEZE: no system call changes it any more. */
  frozen: v.boolean(),
  /** Bytes of a value as bpf(2) hands it over: of maps with a value for each processor, of all of them. */
  valueBytes: v.number(),
  /** Keys with their values behind them. */
  blob: v.string(),
});
type BpfMapState = v.InferOutput<typeof schema>;

const PER_CPU = /PERCPU/;

/** Notes the map of a descriptor; returns the id of the object. */
export function bpfMapObject(file: OpenFile): string {
  const id = fdInfoValue(file.info, "map_id")?.trim() ?? "";
  return file.context.object(`bpf-map:${id}`, () => freezeMap(file, Number(id)));
}

function freezeMap(file: OpenFile, id: number): BpfMapState {
  // Anew: the program's own may be for writing only.
  const fd = openBpfMap(id, BPF_F_RDONLY);
  try {
    const { type, typed, name, keySize, valueSize, maxEntries, flags } = bpfMapInfo(fd);
    const typeName = nameOf(BPF_MAP_TYPE, type) as TypeName | undefined;
    if (typeName === undefined || typed)
      throw failures.BPF.map({ file, why: typed ? "it has type information" : `it is of type ${type}` });
    const valueBytes = PER_CPU.test(typeName) ? Math.ceil(valueSize / 8) * 8 * possibleCpus() : valueSize;
    const entries = readBpfMap(fd, keySize, valueBytes);
    const kept = entries.filter((entry) => flags !== 0 || !isEmpty(typeName, entry.subarray(keySize)));
    const frozen = fdInfoValue(file.info, "frozen")?.trim() === "1";
    const blob = file.context.blob(`bpf-map-${id}`, { bytes: Buffer.concat(kept) });
    return { kind: "bpf-map", type: typeName, name, keySize, valueSize, maxEntries, flags, frozen, valueBytes, blob };
  } finally {
    closeSync(fd);
  }
}

/** Arrays have all their entries from the beginning. */
function isEmpty(type: TypeName, value: Buffer): boolean {
  return type.endsWith("ARRAY") && value.every((byte) => byte === 0);
}

function possibleCpus(): number {
  const [, last] = /(\d+)\s*$/.exec(readFileSync("/sys/devices/system/cpu/possible", "utf8")) ?? [];
  return Number(last ?? 0) + 1;
}

export const bpfMap: ObjectKind<BpfMapState, ContentsHandle, "bpf-map"> = {
  name: "bpf-map",
  schema,
  thaw(state, context: ThawContext): ContentsHandle {
    const fd = context.keep(createBpfMap({ ...state, type: BPF_MAP_TYPE[state.type] }));
    writeBpfMap(fd, state.keySize, context.blob(state.blob), state.keySize + state.valueBytes);
    if (state.frozen) freezeBpfMap(fd);
    const { id } = bpfMapInfo(fd);
    return {
      open(flags) {
        const access = flags & O_ACCMODE;
        return openBpfMap(id, access === 0 ? BPF_F_RDONLY : access === O.O_WRONLY ? BPF_F_WRONLY : 0);
      },
    };
  },
};
