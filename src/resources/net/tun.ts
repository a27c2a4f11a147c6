/**
 * A network device that a program plays (/dev/net/tun): its queue, and the device where it is one of the machine's own.
 * In a network namespace of the set it comes back with the others there. Packets on their way are lost, as on any wire.
 */
import { POLL } from "../../abi/poll.ts";
import { pollNow } from "../../sys/poll.ts";
import * as v from "valibot";
import { O_ACCMODE } from "../../abi/fcntl.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { IFF, TUN } from "../../abi/tun.ts";
import { attachTun, ownTun, setTunSizes, tunDevice, tunSizes } from "../../sys/tun.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { FileKind } from "../contract.ts";
import { linkNamed, linkSchema } from "./links.ts";
import { setUpLink } from "./links-restore.ts";
import { linkedPath } from "../file/contents.ts";
import { reopen } from "../file/reopen.ts";

const schema = v.strictObject({
  path: v.string(),
  /** Absent when it was opened only. */
  device: v.optional(
    v.strictObject({
      name: v.string(),
      /** IFF_… names joined by |. */
      flags: v.string(),
      sendBuffer: v.number(),
      header: v.number(),
      index: v.number(),
      /** Of a device of the machine's own network. */
      link: v.optional(linkSchema),
    }),
  ),
});

export const tun: FileKind<v.InferOutput<typeof schema>, "tun"> = {
  name: "tun",
  schema,
  recognise: (file) => file.stat.deviceNode === TUN,
  freeze(file) {
    const path = linkedPath(file.link);
    const device = tunDevice(file.local);
    if (!device) return { path };
    if ((pollNow(file.local, POLL.POLLIN) & POLL.POLLIN) !== 0)
      file.context.note(
        `Packets that ${file.command} (${file.pid}) has not read from ${device.name}, descriptor ${file.fd}, are lost, as on any wire.`,
      );
    const link = linkNamed(file, device.name);
    const atHome = namespaceOf("thread-self", "net") === namespaceOf("self", "net");
    const flags = formatFlags(IFF, device.flags);
    const sizes = tunSizes(file.local);
    return { path, device: { name: device.name, flags, ...sizes, index: link.index, ...(atHome && { link }) } };
  },
  thaw({ path, device }, context, flags) {
    const fd = context.keep(reopen(context, { path, device: TUN }, flags & O_ACCMODE));
    if (!device) return fd;
    attachTun(fd, device.name, parseFlags(IFF, device.flags), device.index);
    setTunSizes(fd, device);
    ownTun(fd, device.link?.owners?.user, device.link?.owners?.group);
    if (device.link) setUpLink(device.link);
    return fd;
  },
};
