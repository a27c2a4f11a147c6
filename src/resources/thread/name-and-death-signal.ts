/** Small marks of a thread: its name and the signal at its parent's death (prctl(2)). */
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

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

export const nameAndDeathSignal: ThreadResource<v.InferOutput<typeof schema>, "nameAndDeathSignal"> = {
  name: "nameAndDeathSignal",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: 4,
    calls: (at) => ({
      parentDeathSignal: ["prctl", PR.GET_PDEATHSIG, at],
      personality: ["personality", PERSONALITY_ASK],
    }),
  },
  freeze({ stat }, answers) {
    answers.result("parentDeathSignal");
    return {
      name: stat.comm,
      parentDeathSignal: answers.bytes.readInt32LE(0),
      personality: answers.result("personality"),
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
