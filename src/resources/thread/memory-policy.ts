/** From which nodes of a machine a thread takes its memory: set_mempolicy(2), numa(7). */
import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import { MASK_BITS, maskOf, nodesOf } from "../../abi/memory-policy.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.optional(
  v.strictObject({
    /** MPOL_ number with its flags. */
    mode: v.number(),
    nodes: v.array(v.number()),
  }),
);

const MASK_AT = 8;

export const memoryPolicy: ThreadResource<v.InferOutput<typeof schema>, "memoryPolicy"> = {
  name: "memoryPolicy",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: MASK_AT + MASK_BITS / 8,
    calls: (at) => ({ policy: ["get_mempolicy", at, at + MASK_AT, MASK_BITS, 0, 0] }),
  },
  freeze(_thread, answers) {
    // A kernel for machines with one kind of memory has no policies.
    const mode = answers.attempt("policy") < 0 ? 0 : answers.bytes.readInt32LE(0);
    if (mode === 0) return undefined;
    return { mode, nodes: nodesOf(answers.bytes.subarray(MASK_AT)) };
  },
  /** On a machine without such nodes the memory comes from those that there are. */
  thaw({ scope, process }, state) {
    if (!state) return;
    const mask = maskOf(state.nodes);
    const result = scope.attempt("set_mempolicy", state.mode, scope.put(mask), MASK_BITS);
    if (result === -ERRNO.EINVAL) process.context.note(`Thread ${scope.tid} takes its memory from other nodes now.`);
    else if (result < 0)
      scope.call("set_mempolicy", "Setting the memory policy", state.mode, scope.put(mask), MASK_BITS);
  },
};
