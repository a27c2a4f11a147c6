/**
 * What sockets need of this machine's network before they can be made again: their address, a way to their peer, the
 * device that they are bound to. The kernel is asked by trying it with a socket that sends nothing.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { attempt } from "../../../sys/call.ts";
import { inetAddress } from "../../../abi/sockaddr.ts";
import { AF, SO, SOCK, SOCK_CLOEXEC, SOL } from "../../../abi/socket.ts";
import { tryAddress, trySetOption } from "../../../sys/socket.ts";
import { described } from "../../../lib/described.ts";
import { failures } from "../../../errors/catalogue.ts";
import type { Refusal } from "../../../errors/failure.ts";
import type { Options } from "../options.ts";
import { flowSchema, type Flow } from "./rules.ts";

export const networkNeedSchema = v.strictObject({
  local: flowSchema.entries.local,
  remote: v.optional(flowSchema.entries.remote),
  device: v.optional(
    described(
      v.string(),
      "The network device that it is bound to (SO_BINDTODEVICE): the bytes of its name, in hexadecimal.",
    ),
  ),
});
export type NetworkNeed = v.InferOutput<typeof networkNeedSchema>;

/** An internet socket, as far as the network is concerned. */
interface NetworkEnds {
  readonly local?: Flow["local"] | undefined;
  readonly remote?: Flow["remote"] | undefined;
  readonly options: Options;
}

/** A socket that does without the address being there: ip(7). */
const ANYWHERE = ["IP_FREEBIND", "IP_TRANSPARENT", "IPV6_FREEBIND", "IPV6_TRANSPARENT"];

/** Addresses that every machine has. */
export function isEverywhere(address: string): boolean {
  return /^(127\.|::ffff:127\.|::1$|0\.0\.0\.0$|::$)/.test(address);
}

/** What such a socket needs; undefined when that is there on every machine. */
export function networkNeed({ local, remote, options }: NetworkEnds): NetworkNeed | undefined {
  if (local === undefined) return undefined;
  const device = String(options["SO_BINDTODEVICE"] ?? "").replace(/(00)*$/, "");
  const far = remote !== undefined && !isEverywhere(remote.address);
  if (ANYWHERE.some((name) => Number(options[name] ?? 0) !== 0)) return undefined;
  if (isEverywhere(local.address) && !far && device === "") return undefined;
  return { local: { ...local, port: 0 }, ...(far && { remote }), ...(device !== "" && { device }) };
}

/** What is missing here and now, if anything is. */
export function missingOf({ local, remote, device }: NetworkNeed): Refusal | undefined {
  const family = local.address.includes(":") ? AF.AF_INET6 : AF.AF_INET;
  const fd = attempt("socket", family, SOCK.SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failures.NO_ADDRESS.family({ address: local.address });
  try {
    const name = device === undefined ? "" : Buffer.from(device, "hex").toString().replaceAll("\0", "");
    if (name !== "" && trySetOption(fd, SOL.SOL_SOCKET, SO.SO_BINDTODEVICE, Buffer.from(`${name}\0`)) < 0)
      return failures.NO_DEVICE({ device: name });
    if (tryAddress("bind", fd, inetAddress(family, local)) < 0)
      return failures.NO_ADDRESS.device({ address: local.address });
    if (remote && tryAddress("connect", fd, inetAddress(family, remote)) < 0)
      return failures.NO_ROUTE({ local: local.address, remote: remote.address });
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** What stands in the way of making the socket here. */
export function checkNetwork(state: NetworkEnds): Refusal | undefined {
  const need = networkNeed(state);
  return need && missingOf(need);
}
