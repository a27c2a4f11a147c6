/**
 * Keys that a thread or its process holds (thread-keyring(7), process-keyring(7)): refused, because the kernel gives
 * some of them to nobody. The session's keyring came from a login and is a thing of the machine.
 */
import * as v from "valibot";
import { Refusal } from "../../lib/errors.ts";
import type { ThreadResource } from "../contract.ts";

const KEYCTL_GET_KEYRING_ID = 0;
/** include/uapi/linux/keyctl.h */
const KEYRINGS = [
  ["thread", -1],
  ["process", -2],
] as const;

export const keyrings: ThreadResource<undefined> = {
  name: "keyrings",
  schema: v.optional(v.undefined()),
  asks: { bytes: 0, calls: () => KEYRINGS.map(([, id]) => ["keyctl", KEYCTL_GET_KEYRING_ID, id, 0] as const) },
  freeze({ tid, process: { pid, command } }, answers) {
    KEYRINGS.forEach(([name], i) => {
      // ENOKEY when there is none; where a sandbox forbids to ask, it forbids to make one too.
      if (answers.attempt(i) <= 0) return;
      throw new Refusal(
        "KEYRING",
        {
          what: `Process ${pid} (${command}) holds keys.`,
          why: `There is a ${name} keyring, as thread ${tid} sees it (keyctl(2)).`,
          remedy: "Let the program put its keys into the keyring of its session or user, or leave it out.",
        },
        { pid, tid, command, resource: "keyring" },
      );
    });
    return undefined;
  },
  thaw() {
    // Refused where there are any.
  },
};
