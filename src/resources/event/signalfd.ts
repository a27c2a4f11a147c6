/** signalfd(2): signals that are read. The signals themselves are pending in tasks, not here. */
import * as v from "valibot";
import { call, withStruct } from "../../sys/call.ts";
import { SIGSET_SIZE, maskOfSignals, signalsInMask } from "../../abi/signal.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import type { FileKind } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({ signals: v.array(v.string()) });

export const signalFd: FileKind<v.InferOutput<typeof schema>, "signalfd"> = {
  name: "signalfd",
  schema,
  forUser: ofAnyUser,
  needs: () => [{ option: "CONFIG_SIGNALFD", what: "signalfd(2)" }],
  recognise: (file) => file.link === "anon_inode:[signalfd]",
  freeze: (file) => ({ signals: signalsInMask(BigInt(`0x${fdInfoValue(file.info, "sigmask") ?? "0"}`)) }),
  thaw: ({ signals }, context) =>
    withStruct(SIGSET_SIZE, (bytes, address) => {
      bytes.writeBigUInt64LE(maskOfSignals(signals));
      return context.keep(call("signalfd4", "Making a signalfd", -1, address, SIGSET_SIZE, 0) as LocalFd);
    }),
};
