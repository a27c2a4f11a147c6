/** The side of a pseudo-terminal that plays the terminal (ptmx(4)): tmux, script, sshd, a terminal window. */
import * as v from "valibot";
import { PTMX } from "../../abi/tty.ts";
import type { FileKind } from "../contract.ts";
import { ptyObject, type PtyHandle } from "./pty.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({ pty: v.string() });

export const ptyMaster: FileKind<v.InferOutput<typeof schema>, "pty-master"> = {
  name: "pty-master",
  schema,
  forUser: ofAnyUser,
  recognise: (file) => file.stat.deviceNode === PTMX,
  freeze: (file) => ({ pty: ptyObject(file) }),
  thaw: (state, context) => context.object<PtyHandle>(state.pty).master,
};
