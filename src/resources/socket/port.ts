/** Ports at which others look for a socket. */
import { IPPROTO } from "../../abi/socket.ts";
import { getInt } from "../../sys/socket.ts";
import { TCP_STATE } from "../../abi/tcp.ts";
import { tcpInfo } from "../../sys/tcp.ts";
import type { OpenFile } from "../freeze-context.ts";
import { inetSort, localAddress } from "./inet-common.ts";
import type { QuarantinedPort } from "./quarantine/rules.ts";

const IPV6_V6ONLY = 26;
const DATAGRAMS: Readonly<Record<number, QuarantinedPort["protocol"]>> = {
  [IPPROTO.IPPROTO_UDP]: "udp",
  [IPPROTO.IPPROTO_UDPLITE]: "udplite",
};

/** The port at which others look for this socket, if there is one. */
export function portOf(file: OpenFile): QuarantinedPort | undefined {
  const sort = inetSort(file);
  const isTcp = sort?.protocol === IPPROTO.IPPROTO_TCP;
  const protocol = isTcp ? "tcp" : DATAGRAMS[sort?.protocol ?? 0];
  if (!sort || !protocol || (isTcp && tcpInfo(file.local)?.state !== TCP_STATE.LISTEN)) return undefined;
  const { address, port } = localAddress(file.local);
  const onlyV6 = getInt(file.local, IPPROTO.IPPROTO_IPV6, IPV6_V6ONLY) === 1;
  return port === 0 ? undefined : { protocol, address, port, onlyV6 };
}
