/** What of a socket passes by itself when its program goes on for a moment. */
import { closeSync } from "node:fs";
import { openSocketNamespace, within } from "../../sys/namespaces.ts";
import { TCP_STATE } from "../../abi/tcp.ts";
import { tcpInfo } from "../../sys/tcp.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { Settling } from "../freeze-context.ts";
import { settling } from "../file/transient.ts";
import { dumpTcp } from "./inet-snapshot.ts";
import { nftIsThere, Quarantine } from "./quarantine/quarantine.ts";
import type { QuarantinedPort } from "./quarantine/rules.ts";

/** Until a listening socket's program has accepted who waits. Nobody else comes in meanwhile, and until it is over. */
export function backlogSettling(listener: LocalFd, port: QuarantinedPort | undefined): Settling {
  const network = openSocketNamespace(listener);
  const inside = <T>(action: () => T): T => (network === undefined ? action() : within("net", network, action));
  const quarantine = port && nftIsThere() ? new Quarantine({ flows: [], ports: [port] }) : undefined;
  const end = (): void => {
    inside(() => quarantine?.end());
    if (network !== undefined) closeSync(network);
  };
  const halves = (): number => dumpTcp(1 << TCP_STATE.SYN_RECV).filter(({ local }) => local.port === port?.port).length;
  return settling(listener, (socket) => (tcpInfo(socket)?.waiting ?? 0) === 0 && inside(halves) === 0, end);
}
