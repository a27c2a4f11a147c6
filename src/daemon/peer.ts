/** Who has connected: what the kernel says of the process that connected (unix(7), SO_PEERCRED, SO_PEERGROUPS). */
import { livingThread, procPath } from "../sys/task.ts";
import { closeSync, readFileSync, readlinkSync } from "node:fs";
import { attempt } from "../sys/call.ts";
import type { Identity } from "../sys/identity.ts";
import { NAMESPACE } from "../abi/namespaces.ts";
import { namespaceOf } from "../sys/namespaces.ts";
import { SO, SOL } from "../abi/socket.ts";
import { getOption } from "../sys/socket.ts";
import { failures } from "../errors/catalogue.ts";
import { labelOf } from "../proc/read.ts";
import { parseStatus } from "../proc/status.ts";

const MOST_GROUPS = 65_536;

export interface Peer extends Identity {
  readonly pid: number;
}

/** What stands in the socket itself, as it was at connect(2). */
export function credentialsOf(socket: number): Peer | undefined {
  const bytes = getOption(socket, SOL.SOL_SOCKET, SO.SO_PEERCRED, 12);
  const groups = getOption(socket, SOL.SOL_SOCKET, SO.SO_PEERGROUPS, MOST_GROUPS * 4);
  if (bytes?.length !== 12 || !groups) return undefined;
  return {
    pid: bytes.readInt32LE(0),
    uid: bytes.readUInt32LE(4),
    gid: bytes.readUInt32LE(8),
    groups: Array.from({ length: groups.length / 4 }, (_, i) => groups.readUInt32LE(i * 4)),
  };
}

/**
 * The user who asks. Throws a {@link Refusal} for those who have less than their user has: somebody in a sandbox shall
 * not come out of it by way of a process that is not in it.
 */
export function peerOf(socket: number): Peer {
  const peer = credentialsOf(socket);
  if (!peer || peer.pid <= 0) throw failures.REQUEST_FORBIDDEN({ why: "It lives where its id means something else." });
  if (peer.uid === 0) throw failures.REQUEST_FORBIDDEN({ why: "Root runs kmonte itself, without the service." });
  // The id stays that of the process that connected for as long as this is open and it lives.
  const pidfd = openPeer(socket, peer.pid);
  if (pidfd < 0) throw failures.REQUEST_FORBIDDEN({ why: "It is gone." });
  try {
    const why = restrictionOf(peer);
    if (why !== undefined) throw failures.REQUEST_FORBIDDEN({ why });
    if (attempt("pidfd_send_signal", pidfd, 0, 0, 0) < 0) throw failures.REQUEST_FORBIDDEN({ why: "It is gone." });
  } finally {
    closeSync(pidfd);
  }
  return peer;
}

/** Kernels before 6.5 have only the number. */
function openPeer(socket: number, pid: number): number {
  const bytes = getOption(socket, SOL.SOL_SOCKET, SO.SO_PEERPIDFD, 4);
  return bytes?.length === 4 ? bytes.readInt32LE(0) : attempt("pidfd_open", pid, 0);
}

function restrictionOf({ pid, uid }: Peer): string | undefined {
  // Other threads may live elsewhere: whoever has no first thread any more is not asked for another.
  const first = livingThread(pid);
  let status: ReadonlyMap<string, string>;
  try {
    status = parseStatus(readFileSync(`/proc/${pid}/status`, "utf8"));
    if (readlinkSync(procPath(first, "root")) !== "/") return "It has another root directory.";
  } catch {
    return "It is gone.";
  }
  const uids = (status.get("Uid") ?? "").split(/\s+/).map(Number);
  if (uids.length !== 4 || uids.some((id) => id !== uid)) return "It has several user ids.";
  if (status.get("NoNewPrivs") !== "0") return "It has given up getting rights (no_new_privs).";
  if (status.get("Seccomp") !== "0") return "It runs under a seccomp filter.";
  for (const type of Object.keys(NAMESPACE)) {
    if (type !== "cgroup" && namespaceOf(first, type) !== namespaceOf("self", type))
      return `It has a ${type} namespace of its own.`;
  }
  if (labelOf(pid) !== labelOf("self")) return `A security module confines it (${labelOf(pid)}).`;
  return undefined;
}
