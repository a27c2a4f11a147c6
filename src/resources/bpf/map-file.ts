/** A descriptor of a BPF map (bpf(2)). */
import * as v from "valibot";
import type { FileKind } from "../contract.ts";
import { bpfMapObject } from "./map.ts";
import type { ContentsHandle } from "../file/contents.ts";

const schema = v.strictObject({ map: v.string() });

export const bpfMapFile: FileKind<v.InferOutput<typeof schema>, "bpf-map"> = {
  name: "bpf-map",
  schema,
  recognise: (file) => file.link === "anon_inode:bpf-map",
  freeze: (file) => ({ map: bpfMapObject(file) }),
  thaw: ({ map }, context, flags) => context.object<ContentsHandle>(map).open(flags),
};
