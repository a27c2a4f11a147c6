/** The barriers that an address space has registered for: membarrier(2). */
import * as v from "valibot";
import type { SyscallName } from "../../abi/syscalls.x86_64.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** Commands by which a process registers (include/uapi/linux/membarrier.h). */
const REGISTER = {
  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: 1 << 2,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: 1 << 4,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: 1 << 6,
  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: 1 << 8,
} as const;
type Command = keyof typeof REGISTER;
const COMMANDS = Object.keys(REGISTER) as Command[];

const CMD_GET_REGISTRATIONS = 1 << 9;
/** The barriers themselves, which only the registered may ask for; they change nothing. */
const PRIVATE: readonly Command[] = COMMANDS.filter((name) => name.includes("PRIVATE"));
const CALL: SyscallName = "membarrier";

const schema = v.array(v.picklist(COMMANDS));

export const membarrier: ProcessResource<v.InferOutput<typeof schema>, "membarrier"> = {
  name: "membarrier",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  asks: { bytes: 0, calls: () => ({ registrations: [CALL, CMD_GET_REGISTRATIONS, 0, 0] }) },
  freeze({ scope }, answers) {
    const registered = answers.attempt("registrations");
    if (registered >= 0) return COMMANDS.filter((name) => (registered & REGISTER[name]) !== 0);
    // Before 6.3 nothing tells of the global kind, which is for those who ask for barriers of others.
    return PRIVATE.filter((name) => scope.attempt(CALL, REGISTER[name] >> 1, 0, 0) === 0);
  },
  thaw({ scope }, state) {
    for (const name of state) scope.call(CALL, "Registering for memory barriers", REGISTER[name], 0, 0);
  },
};
