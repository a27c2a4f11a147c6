/**
 * What must be kept silent of a network namespace while the sockets of the set are away: connections with ends outside,
 * and ports, at which whoever comes would be told that nobody is there.
 */
import { readFileSync } from "../../../sys/files.ts";
import { failures } from "../../../errors/catalogue.ts";
import { namespaceOf, networkHere, socketNamespace } from "../../../sys/namespaces.ts";
import { isInRepair } from "../../../sys/tcp.ts";
import type { FreezeContext, OpenFile } from "../../freeze-context.ts";
import type { Refusal } from "../../../errors/failure.ts";
import { isClosedExternal } from "../close-external.ts";
import { isTcpConnection, localAddress, peerAddress, showAddress } from "../inet-common.ts";
import { flowKey, once, turned } from "../inet-snapshot.ts";
import { portOf } from "../port.ts";
import { nftIsThere, Quarantine } from "./quarantine.ts";
import type { Flow, QuarantinedPort } from "./rules.ts";
import { tcpFiles, waitingClients } from "../tcp/backlog.ts";

export interface Flows {
  readonly all: ReadonlyMap<OpenFile, Flow>;
  readonly outside: readonly (readonly [OpenFile, Flow])[];
}

/** The connections of the set in the network namespace that this thread is in. */
export function connectionFlows(context: FreezeContext): Flows {
  return once(context, "flows", () => {
    const waiting = waitingClients(context);
    const all = new Map<OpenFile, Flow>();
    for (const [, file] of tcpFiles(context)) {
      if (!isTcpConnection(file) || waiting.has(file.stat.inode) || isClosedExternal(file)) continue;
      const remote = peerAddress(file.local);
      if (isInRepair(file.local)) throw failures.TCP_REPAIR({ file });
      if (remote) all.set(file, { local: localAddress(file.local), remote });
    }
    const inside = new Set([...all.values()].map(flowKey));
    return { all, outside: [...all].filter(([, flow]) => !inside.has(flowKey(turned(flow)))) };
  });
}

/** The quarantine of this network namespace; undefined where there is nothing to hear or nothing to keep it with. */
export function quarantineScope(context: FreezeContext): Quarantine | undefined {
  return once(context, "quarantine", () => {
    const { outside } = connectionFlows(context);
    const here = networkHere();
    const ports = context.ends && isReached() ? portsOf(context, here) : [];
    const [first] = outside;
    if (!first && ports.length === 0) return undefined;
    if (nftIsThere()) return begin(context, { flows: outside.map(([, flow]) => flow), ports });
    if (first) throw withoutFilter(...first);
    context.note(
      "Until the thaw, whoever connects to a port of these programs is told that it is closed: nft(8) is not there.",
    );
    return undefined;
  });
}

function portsOf(context: FreezeContext, network: string | undefined): QuarantinedPort[] {
  return context.openFiles().flatMap(([, file]) => {
    const port = portOf(file);
    return port && socketNamespace(file.local) === network ? [port] : [];
  });
}

/** Whether anybody outside of the set can send something here: the set has all processes of a namespace of its own. */
function isReached(): boolean {
  if (networkHere() === namespaceOf("self", "net")) return true;
  const lines = (name: string): string[] => readFileSync(`/proc/thread-self/net/${name}`, "utf8").trim().split("\n");
  return lines("route").length > 1 || lines("ipv6_route").some((line) => line !== "" && !/\blo$/.test(line));
}

function begin(context: FreezeContext, quiet: ConstructorParameters<typeof Quarantine>[0]): Quarantine {
  const quarantine = new Quarantine(quiet);
  context.atRelease(() => quarantine.end());
  context.tellAtKill(quarantine.guard);
  context.afterKill(() => quarantine.handOver());
  context.beforeKill(() => {
    quarantine.makeLasting();
    return () => quarantine.end();
  });
  return quarantine;
}

function withoutFilter(file: OpenFile, flow: Flow): Refusal {
  return failures.NFT_MISSING({ file, remote: showAddress(flow.remote) });
}
