/** Memory that can be written to shall never become executable: prctl(2) with PR_SET_MDWE (Linux 6.3). */
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** The bits of PR_SET_MDWE; 0 for none, and on kernels that do not know it. */
const schema = v.number();

export const denyWriteExecute: ProcessResource<number, "denyWriteExecute"> = {
  name: "denyWriteExecute",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  asks: { bytes: 0, calls: () => ({ mdwe: ["prctl", PR.GET_MDWE, 0, 0, 0, 0] }) },
  freeze: (_, answers) => Math.max(answers.attempt("mdwe"), 0),
  /** When nothing is left to be protected. */
  thaw({ scope }, bits) {
    if (bits !== 0) scope.call("prctl", "Denying memory to be both written and executed", PR.SET_MDWE, bits, 0, 0, 0);
  },
};
