/** Whose rights a thread has: ids, groups, capabilities, securebits, no_new_privs (credentials(7), capabilities(7)). */
import * as v from "valibot";
import { CAPABILITY_VERSION, CAPABILITIES, capabilityMask, capabilityNames } from "../../abi/capability.ts";
import { SyscallError } from "../../abi/call.ts";
import { PR, PR_CAP_AMBIENT } from "../../abi/prctl.ts";
import type { Row } from "../../tracee/scope.ts";
import type { ThreadResource } from "../contract.ts";

/** Real, effective, saved and file system id. */
const ids = v.tuple([v.number(), v.number(), v.number(), v.number()]);
const set = v.array(v.string());

const schema = v.strictObject({
  uids: ids,
  gids: ids,
  groups: v.array(v.number()),
  inheritable: set,
  permitted: set,
  effective: set,
  bounding: set,
  ambient: set,
  securebits: v.number(),
  noNewPrivs: v.boolean(),
});
type Credentials = v.InferOutput<typeof schema>;

const SECBIT_KEEP_CAPS_AND_NO_FIXUP = 0x14;

export const credentials: ThreadResource<Credentials> = {
  name: "credentials",
  schema,
  asks: { bytes: 0, calls: () => [["prctl", PR.GET_SECUREBITS]] },
  freeze({ status }, answers) {
    const numbers = (name: string): number[] => (status.get(name) ?? "").split(/\s+/).filter(Boolean).map(Number);
    const capabilities = (name: string): string[] => capabilityNames(BigInt(`0x${status.get(name) ?? "0"}`));
    return {
      uids: numbers("Uid") as Credentials["uids"],
      gids: numbers("Gid") as Credentials["gids"],
      groups: numbers("Groups"),
      inheritable: capabilities("CapInh"),
      permitted: capabilities("CapPrm"),
      effective: capabilities("CapEff"),
      bounding: capabilities("CapBnd"),
      ambient: capabilities("CapAmb"),
      securebits: answers.result(0),
      noNewPrivs: status.get("NoNewPrivs") === "1",
    };
  },
  /**
   * The order matters: each step still needs the rights that the next ones give up. All in one go, because a process
   * may have thousands of threads.
   */
  thaw({ scope }, state) {
    const groups = Buffer.alloc(state.groups.length * 4);
    state.groups.forEach((group, i) => groups.writeUInt32LE(group, i * 4));
    if (groups.length > MOST_GROUPS_INLINE * 4) {
      throw new RangeError(`${state.groups.length} groups are more than fit into scratch memory`);
    }
    const [header, sets] = capabilityArguments(state);
    const headerAt = scope.put(Buffer.concat([header, sets, groups]));
    const bounding = capabilityMask(state.bounding);
    const absent = CAPABILITIES.map((_, bit) => bit).filter((bit) => (bounding & (1n << BigInt(bit))) === 0n);
    const ambient = state.ambient.map((name) => (CAPABILITIES as readonly string[]).indexOf(name));
    const required: Row[] = [
      ["setgroups", state.groups.length, headerAt + header.length + sets.length],
      // Changing ids shall leave capabilities alone: they are set by themselves afterwards.
      ["prctl", PR.SET_SECUREBITS, SECBIT_KEEP_CAPS_AND_NO_FIXUP],
      ["setresgid", ...state.gids.slice(0, 3)],
    ];
    // These two answer with the old id. Capabilities that this kernel does not know answer EINVAL: nobody has them here.
    const tried: Row[] = [["setfsgid", state.gids[3]], ...absent.map((bit): Row => ["prctl", PR.CAPBSET_DROP, bit])];
    const last: Row[] = [
      ["setresuid", ...state.uids.slice(0, 3)],
      ["setfsuid", state.uids[3]],
      ["prctl", PR.SET_SECUREBITS, state.securebits],
      ["capset", headerAt, headerAt + header.length],
      ...ambient.map((bit): Row => ["prctl", PR.CAP_AMBIENT, PR_CAP_AMBIENT.RAISE, bit, 0, 0]),
      ...(state.noNewPrivs ? ([["prctl", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]] as const) : []),
    ];
    const rows = [...required, ...tried, ...last];
    scope.batch(rows).forEach((result, i) => {
      if (result >= 0 || (i >= required.length && i < required.length + tried.length)) return;
      throw new SyscallError(rows[i]?.[0] ?? "?", result, "Setting the credentials", scope.pid);
    });
  },
};

/** What fits into scratch memory beside the capabilities; the kernel allows 65,536, and nobody has as many. */
const MOST_GROUPS_INLINE = 900;

/** The two arguments of capset(2). */
function capabilityArguments(state: Credentials): [header: Buffer, sets: Buffer] {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION, 0);
  const data = Buffer.alloc(24);
  [state.effective, state.permitted, state.inheritable].map(capabilityMask).forEach((mask, i) => {
    data.writeUInt32LE(Number(mask & 0xffff_ffffn), i * 4);
    data.writeUInt32LE(Number(mask >> 32n), 12 + i * 4);
  });
  return [header, data];
}
