/** Small marks of a thread: its name and the signal at its parent's death (prctl(2)). */
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../for-user.ts";

const schema = v.strictObject({
  /** /proc/PID/task/TID/comm, up to 15 bytes. */
  name: v.string(),
  /** 0 for none. */
  parentDeathSignal: v.number(),
  /** personality(2) bits, hexadecimal. */
  personality: v.number(),
});

/** Changes nothing, and answers the present personality. */
const PERSONALITY_ASK = 0xffff_ffff;

export const marks: ThreadResource<v.InferOutput<typeof schema>> = {
  name: "marks",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: 4,
    calls: (at) => [
      ["prctl", PR.GET_PDEATHSIG, at],
      ["personality", PERSONALITY_ASK],
    ],
  },
  freeze({ stat }, answers) {
    answers.result(0);
    return {
      name: stat.comm,
      parentDeathSignal: answers.bytes.readInt32LE(0),
      personality: answers.result(1),
    };
  },
  thaw({ scope }, state) {
    scope.call("prctl", "Naming the thread", PR.SET_NAME, scope.put(Buffer.from(`${state.name}\0`)));
    if (state.personality !== 0) scope.call("personality", "Setting the personality", state.personality);
    // After the credentials: changing ids clears it.
    if (state.parentDeathSignal !== 0) {
      scope.call("prctl", "Setting the parent-death signal", PR.SET_PDEATHSIG, state.parentDeathSignal);
    }
  },
};
