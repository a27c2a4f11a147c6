/** What a process does at each signal: sigaction(2). */
import * as v from "valibot";
import {
  KERNEL_SIGACTION_SIZE,
  NSIG,
  SA,
  SIGNAL,
  SIGSET_SIZE,
  maskOfSignals,
  signalName,
  signalNumber,
  signalsInMask,
} from "../../abi/signal.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import { hex, hexSchema } from "../../lib/hex.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.record(
  v.string(),
  v.strictObject({
    /** SIG_IGN, or the handler's address. */
    handler: v.union([v.literal("SIG_DFL"), v.literal("SIG_IGN"), hexSchema]),
    flags: v.string(),
    restorer: hexSchema,
    mask: v.array(v.string()),
  }),
);
type SignalActions = v.InferOutput<typeof schema>;

/** All signals whose action can be another than the kernel's own. */
const NUMBERS = Array.from({ length: NSIG }, (_, i) => i + 1).filter(
  (number) => number !== SIGNAL.SIGKILL && number !== SIGNAL.SIGSTOP,
);

const SPECIAL = ["SIG_DFL", "SIG_IGN"] as const;

const BREAKPOINT = "SIGTRAP";

/** Only what differs from the default is kept. */
export const signalActions: ProcessResource<SignalActions, "signalActions"> = {
  name: "signalActions",
  of: "signalActions",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: NUMBERS.length * KERNEL_SIGACTION_SIZE,
    calls: (at) =>
      Object.fromEntries(
        NUMBERS.map((number, i) => [
          signalName(number),
          ["rt_sigaction", number, 0, at + i * KERNEL_SIGACTION_SIZE, SIGSET_SIZE] as const,
        ]),
      ),
  },
  freeze(_process, answers) {
    const actions: SignalActions = {};
    for (const [i, number] of NUMBERS.entries()) {
      answers.result(signalName(number));
      const bytes = answers.bytes.subarray(i * KERNEL_SIGACTION_SIZE, (i + 1) * KERNEL_SIGACTION_SIZE);
      if (bytes.every((byte) => byte === 0)) continue;
      const handler = bytes.readBigUInt64LE(0);
      actions[signalName(number)] = {
        handler: SPECIAL[Number(handler)] ?? hex(handler),
        flags: formatFlags(SA, Number(bytes.readBigUInt64LE(8))),
        restorer: hex(bytes.readBigUInt64LE(16)),
        mask: signalsInMask(bytes.readBigUInt64LE(24)),
      };
    }
    return actions;
  },
  thaw({ scope }, actions) {
    for (const [name, action] of Object.entries(actions)) {
      if (name !== BREAKPOINT) set(name, action, (...args) => scope.call("rt_sigaction", ...args), scope);
    }
  },
  /** While calls end at breakpoints, the kernel would take it away again. */
  lastCall({ scope }, { [BREAKPOINT]: action }) {
    if (action) set(BREAKPOINT, action, (...args) => scope.lastCall("rt_sigaction", ...args), scope);
  },
};

function set(
  name: string,
  action: SignalActions[string],
  call: (about: string, ...args: number[]) => void,
  scope: ThawProcess["scope"],
): void {
  const bytes = Buffer.alloc(KERNEL_SIGACTION_SIZE);
  const special = SPECIAL.indexOf(action.handler as "SIG_DFL");
  bytes.writeBigUInt64LE(special >= 0 ? BigInt(special) : BigInt(action.handler), 0);
  bytes.writeBigUInt64LE(BigInt(parseFlags(SA, action.flags)), 8);
  bytes.writeBigUInt64LE(BigInt(action.restorer), 16);
  bytes.writeBigUInt64LE(maskOfSignals(action.mask), 24);
  call(`Setting the action of ${name}`, signalNumber(name), scope.put(bytes), 0, SIGSET_SIZE);
}
