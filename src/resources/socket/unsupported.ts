/** Sockets of families that cannot be carried: refused with the family's name. Last among the kinds of socket. */
import { failures } from "../../errors/catalogue.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import * as v from "valibot";
import { AF, SO, SOCK, SOL } from "../../abi/socket.ts";
import { getInt } from "../../sys/socket.ts";
import { S_IF } from "../../abi/stat.ts";
import { nameOf } from "../../lib/flags.ts";
import type { FileKind } from "../contract.ts";

const schema = v.never();

export const otherSocket: FileKind<v.InferOutput<typeof schema>, "other-socket"> = {
  name: "other-socket",
  schema,
  recognise: (file) => file.stat.type === S_IF.S_IFSOCK && file.link.startsWith("socket:["),
  freeze(file) {
    const option = (name: number): number => getInt(file.local, SOL.SOL_SOCKET, name) ?? 0;
    const family = option(SO.SO_DOMAIN);
    const type = option(SO.SO_TYPE);
    throw failures.SOCKET_FAMILY.unsupported({
      file,
      family: nameOf(AF, family) ?? `family ${family}`,
      type: nameOf(SOCK, type) ?? `type ${type}`,
      protocol: option(SO.SO_PROTOCOL),
    });
  },
  thaw: () => {
    throw new InconsistentImage("no image holds such a socket");
  },
};
