/** Addresses that the kernel keeps for a thread: robust futexes, the tid to clear, rseq (set_tid_address(2), rseq(2)). */
import * as v from "valibot";
import { call, withStruct } from "../../sys/call.ts";
import { PR } from "../../abi/prctl.ts";
import { hex, hexSchema, unhex } from "../../lib/hex.ts";
import { askRseq, kernelTellsRseq, probeRseq } from "../../tracee/rseq.x86_64.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  /** Cleared, with a futex wake, when the thread ends. */
  clearChildTid: hexSchema,
  robustList: v.optional(v.strictObject({ head: hexSchema, size: v.number() })),
  rseq: v.optional(v.strictObject({ address: hexSchema, size: v.number(), signature: v.number() })),
});

export const kernelPointers: ThreadResource<v.InferOutput<typeof schema>, "kernelPointers"> = {
  name: "kernelPointers",
  schema,
  forUser: ofAnyUser,
  asks: { bytes: 8, calls: (at) => ({ clearChildTid: ["prctl", PR.GET_TID_ADDRESS, at] }) },
  freeze({ tid, scope }, answers) {
    answers.result("clearChildTid");
    const clearChildTid = hex(answers.bytes.readBigUInt64LE(0));
    const robust = withStruct(16, (bytes, address) => {
      call("get_robust_list", "Asking for the robust list", tid, address, address + 8);
      return { head: bytes.readBigUInt64LE(0), size: Number(bytes.readBigUInt64LE(8)) };
    });
    const rseq = kernelTellsRseq(tid) ? askRseq(tid) : probeRseq(scope);
    return {
      clearChildTid,
      ...(robust.head !== 0n && { robustList: { head: hex(robust.head), size: robust.size } }),
      ...(rseq && { rseq: { ...rseq, address: hex(rseq.address) } }),
    };
  },
  thaw({ scope }, state) {
    scope.call("set_tid_address", "Setting the address of the thread id", unhex(state.clearChildTid));
    if (state.robustList) {
      scope.call("set_robust_list", "Setting the robust list", unhex(state.robustList.head), state.robustList.size);
    }
    if (state.rseq) {
      const { address, size, signature } = state.rseq;
      scope.call("rseq", "Registering the rseq area", unhex(address), size, 0, signature);
    }
  },
};
