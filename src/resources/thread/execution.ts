/** Where a thread stands: its registers, its vector state, the call it was in, the signals it blocks (ptrace(2)). */
import * as v from "valibot";
import { RESTART } from "../../abi/errno.ts";
import { NT } from "../../abi/ptrace.ts";
import { REGISTER_NAMES, type RegisterName, Registers } from "../../abi/registers.x86_64.ts";
import { maskOfSignals, signalsInMask } from "../../abi/signal.ts";
import { SYS } from "../../abi/syscalls.x86_64.ts";
import { type PackedXstate, fitted, packXstate, unpackXstate } from "../../abi/xstate.x86_64.ts";
import { failures } from "../../errors/catalogue.ts";
import { hexSchema } from "../../lib/hex.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { isResumed } from "../../tracee/interrupted-call.x86_64.ts";
import { getXstate, setRegisters, setRegisterSet, setSignalMask } from "../../tracee/ptrace.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** Far more than any processor has. */
const MOST_XSTATE = 1 << 20;

const schema = v.strictObject({
  general: v.strictObject(
    Object.fromEntries(REGISTER_NAMES.map((name) => [name, hexSchema])) as Record<RegisterName, typeof hexSchema>,
  ),
  /**
   * The XSAVE area in standard form, base64, without the zeros at its end; features are named by its own header (Intel
   * SDM 1, chapter 13).
   */
  xstate: v.string(),
  /** Its length in bytes, those zeros among them. */
  xstateSize: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MOST_XSTATE))),
  signalMask: v.array(v.string()),
});

export type ExecutionState = v.InferOutput<typeof schema>;

export const execution: ThreadResource<ExecutionState, "execution"> = {
  name: "execution",
  schema,
  forUser: ofAnyUser,
  freeze({ tid, scope }) {
    const general = scope.registers;
    return {
      general: general.toJSON(),
      ...packXstate(getXstate(tid)),
      signalMask: signalsInMask(scope.blocked),
    };
  },
  /** Every remote call uses the registers, and runs with all signals blocked. */
  setRegisters({ tid, scope }, state) {
    setXstate(tid, state);
    setRegisters(tid, resumable(Registers.fromJSON(state.general), scope));
    setSignalMask(tid, maskOfSignals(state.signalMask));
  },
};

/** As this processor's areas are laid out. */
function setXstate(tid: number, state: PackedXstate): void {
  const area = fitted(unpackXstate(state), getXstate(tid));
  if (!area) {
    throw failures.CPU_FEATURE.vectorState({ tid });
  }
  setRegisterSet(tid, NT.X86_XSTATE, area);
}

/**
 * Restart codes mean the same to every kernel and stay for it to act upon, but for ERESTART_RESTARTBLOCK: that one
 * needs what the kernel has kept of the call, which is there again only if {@link interruptedCall} could see to it.
 * Otherwise the call is made once more with its own arguments, and answers EINTR if a handler runs first.
 */
function resumable(general: Registers, scope: BuildScope): Registers {
  if (!isResumed(general) || scope.hasRestartBlock) return general;
  const { restartAs } = scope;
  if (restartAs !== undefined) general.set("orig_rax", SYS[restartAs]);
  return general.set("rax", -RESTART.ERESTARTNOHAND);
}
