/** Whose rights a thread has: ids, groups, capabilities, securebits, no_new_privs (credentials(7), capabilities(7)). */
import * as v from "valibot";
import { CAPABILITY_VERSION, CAPABILITIES, capabilityMask, capabilityNames } from "../../abi/capability.ts";
import { PR, PR_CAP_AMBIENT } from "../../abi/prctl.ts";
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
  freeze({ status, scope }) {
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
      securebits: scope.call("prctl", "Asking for the securebits", PR.GET_SECUREBITS),
      noNewPrivs: status.get("NoNewPrivs") === "1",
    };
  },
  /** The order matters: each step still needs the rights that the next ones give up. */
  thaw({ scope }, state) {
    const groups = Buffer.alloc(state.groups.length * 4);
    state.groups.forEach((group, i) => groups.writeUInt32LE(group, i * 4));
    scope.call("setgroups", "Setting the groups", state.groups.length, scope.put(groups));
    // Changing ids shall leave capabilities alone: they are set by themselves afterwards.
    scope.call("prctl", "Keeping capabilities", PR.SET_SECUREBITS, SECBIT_KEEP_CAPS_AND_NO_FIXUP);
    scope.call("setresgid", "Setting the group ids", ...state.gids.slice(0, 3));
    scope.attempt("setfsgid", state.gids[3]);
    const bounding = capabilityMask(state.bounding);
    for (let bit = 0; bit < CAPABILITIES.length; bit += 1) {
      // Capabilities that this kernel does not know answer EINVAL: nobody has them here.
      if ((bounding & (1n << BigInt(bit))) === 0n) scope.attempt("prctl", PR.CAPBSET_DROP, bit);
    }
    scope.call("setresuid", "Setting the user ids", ...state.uids.slice(0, 3));
    scope.attempt("setfsuid", state.uids[3]);
    scope.call("prctl", "Setting the securebits", PR.SET_SECUREBITS, state.securebits);
    setCapabilities(scope, state);
    if (state.noNewPrivs) scope.call("prctl", "Setting no_new_privs", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  },
};

function setCapabilities(scope: Parameters<typeof credentials.thaw>[0]["scope"], state: Credentials): void {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION, 0);
  const sets = [state.effective, state.permitted, state.inheritable].map(capabilityMask);
  const data = Buffer.alloc(24);
  sets.forEach((mask, i) => {
    data.writeUInt32LE(Number(mask & 0xffff_ffffn), i * 4);
    data.writeUInt32LE(Number(mask >> 32n), 12 + i * 4);
  });
  const headerAt = scope.put(header);
  scope.call("capset", "Setting the capabilities", headerAt, scope.put(data, 16));
  for (const name of state.ambient) {
    const bit = (CAPABILITIES as readonly string[]).indexOf(name);
    scope.call("prctl", `Raising ${name}`, PR.CAP_AMBIENT, PR_CAP_AMBIENT.RAISE, bit, 0, 0);
  }
}
