/** From which nodes of a machine each part of an address space takes its memory: mbind(2), numa(7). */
import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import { MASK_BITS, MPOL_F_ADDR, maskOf, nodesOf } from "../../abi/memory-policy.ts";
import { hex, hexSchema, unhex } from "../../lib/hex.ts";
import type { Row } from "../../tracee/scope.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ProcessResource } from "../contract.ts";
import { isKernelOwned } from "./mappings.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const part = v.strictObject({
  start: hexSchema,
  end: hexSchema,
  /** MPOL_ number with its flags. */
  mode: v.number(),
  nodes: v.array(v.number()),
});
const schema = v.optional(v.array(part));

/** Modes of so many mappings are asked for in one go. */
const MOST = 512;
const MASK_AT = 8;

export const memoryPolicyRanges: ProcessResource<v.InferOutput<typeof schema>, "memoryPolicyRanges"> = {
  name: "memoryPolicyRanges",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  freeze(process) {
    const { scope } = process;
    const parts: v.InferOutput<typeof part>[] = [];
    for (const { start, end } of notDefault(process)) {
      scope.put(Buffer.alloc(MASK_AT + MASK_BITS / 8));
      const mask = scope.scratch + MASK_AT;
      scope.call("get_mempolicy", "Asking for a memory policy", scope.scratch, mask, MASK_BITS, start, MPOL_F_ADDR);
      const answer = scope.take(MASK_AT + MASK_BITS / 8);
      parts.push({
        start: hex(start),
        end: hex(end),
        mode: answer.readInt32LE(0),
        nodes: nodesOf(answer.subarray(MASK_AT)),
      });
    }
    return parts.length > 0 ? parts : undefined;
  },
  /** On a machine without such nodes the memory comes from those that there are. */
  thaw({ scope, context }, parts = []) {
    for (const { start, end, mode, nodes } of parts) {
      const [from, length] = [unhex(start), unhex(end) - unhex(start)];
      const result = scope.attempt("mbind", from, length, mode, scope.put(maskOf(nodes)), MASK_BITS, 0);
      if (result === -ERRNO.EINVAL)
        context.note(`Memory of process ${scope.pid} at ${start} comes from other nodes now.`);
      else if (result < 0) {
        scope.call("mbind", "Setting a memory policy", from, length, mode, scope.put(maskOf(nodes)), MASK_BITS, 0);
      }
    }
  },
};

/** The mappings with a policy of their own. */
function notDefault({ scope, mappings }: FreezeProcess): { readonly start: number; readonly end: number }[] {
  const asked = mappings.filter((mapping) => !isKernelOwned(mapping));
  const found: { start: number; end: number }[] = [];
  for (let first = 0; first < asked.length; first += MOST) {
    const some = asked.slice(first, first + MOST);
    scope.put(Buffer.alloc(some.length * 4));
    const rows = some.map(({ start }, i): Row => ["get_mempolicy", scope.scratch + i * 4, 0, 0, start, MPOL_F_ADDR]);
    // A kernel for machines with one kind of memory has no policies, and refuses all of them.
    const results = scope.batch(rows);
    const modes = scope.take(some.length * 4);
    found.push(...some.filter((_, i) => (results[i] ?? -1) >= 0 && modes.readInt32LE(i * 4) !== 0));
  }
  return found;
}
