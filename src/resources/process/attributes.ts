/** Small marks of a process: dumpable, subreaper, out-of-memory score, personality (prctl(2), proc(5), personality(2)). */
import { readFileSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import type { ProcessResource } from "../contract.ts";

const schema = v.strictObject({
  dumpable: v.picklist([0, 1, 2]),
  childSubreaper: v.boolean(),
  thpDisabled: v.boolean(),
  /** /proc/PID/oom_score_adj, -1000 to 1000. */
  oomScoreAdj: v.number(),
});

export const attributes: ProcessResource<v.InferOutput<typeof schema>> = {
  name: "attributes",
  schema,
  asks: {
    bytes: 4,
    calls: (at) => [
      ["prctl", PR.GET_CHILD_SUBREAPER, at],
      ["prctl", PR.GET_DUMPABLE],
      ["prctl", PR.GET_THP_DISABLE, 0, 0, 0, 0],
    ],
  },
  freeze({ pid }, answers) {
    return {
      childSubreaper: answers.result(0) === 0 && answers.bytes.readInt32LE(0) === 1,
      dumpable: answers.result(1) as 0 | 1 | 2,
      thpDisabled: answers.result(2) === 1,
      oomScoreAdj: Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8")),
    };
  },
  thaw({ pid, scope }, state) {
    if (state.childSubreaper) scope.call("prctl", "Becoming a subreaper", PR.SET_CHILD_SUBREAPER, 1);
    if (state.thpDisabled) scope.call("prctl", "Switching huge pages off", PR.SET_THP_DISABLE, 1, 0, 0, 0);
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(state.oomScoreAdj));
  },
};
