/** From which nodes of a machine a thread takes its memory: set_mempolicy(2), numa(7). */
import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import type { ThreadResource } from "../contract.ts";

const schema = v.optional(
  v.strictObject({
    /** MPOL_ number with its flags. */
    mode: v.number(),
    nodes: v.array(v.number()),
  }),
);

/** Room for the nodes of any kernel (MAX_NUMNODES is 1024 at most). */
const MASK_BITS = 1024;
const MASK_AT = 8;

export const memoryPolicy: ThreadResource<v.InferOutput<typeof schema>> = {
  name: "memoryPolicy",
  schema,
  asks: {
    bytes: MASK_AT + MASK_BITS / 8,
    calls: (at) => [["get_mempolicy", at, at + MASK_AT, MASK_BITS, 0, 0]],
  },
  freeze(_thread, answers) {
    // A kernel for machines with one kind of memory has no policies.
    const mode = answers.attempt(0) < 0 ? 0 : answers.bytes.readInt32LE(0);
    if (mode === 0) return undefined;
    const mask = answers.bytes.subarray(MASK_AT);
    const nodes = Array.from({ length: MASK_BITS }, (_, bit) => bit).filter(
      (bit) => ((mask[bit >> 3] ?? 0) >> (bit & 7)) & 1,
    );
    return { mode, nodes };
  },
  /** On a machine without such nodes the memory comes from those that there are. */
  thaw({ scope, process }, state) {
    if (!state) return;
    const mask = Buffer.alloc(MASK_BITS / 8);
    for (const node of state.nodes) mask[node >> 3] = (mask[node >> 3] ?? 0) | (1 << (node & 7));
    const result = scope.attempt("set_mempolicy", state.mode, scope.put(mask), MASK_BITS);
    if (result === -ERRNO.EINVAL) process.context.note(`Thread ${scope.tid} takes its memory from other nodes now.`);
    else if (result < 0)
      scope.call("set_mempolicy", "Setting the memory policy", state.mode, scope.put(mask), MASK_BITS);
  },
};
