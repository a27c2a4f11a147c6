/**
 * From format 1 to format 2. Format 2 has more members, all of which may be absent: an image of format 1 does not say
 * which file stood at a path (`identity`), which folder something without a name lay in (`parentDirectory`), nor which
 * mounts are the machine's own (`machineMount`); what it has more kinds of was refused at the freeze, or was not looked
 * at. Only where the machine has mounts in a peer group, it now says all of them. Many members have other names now.
 */
import { as, changed, each, keep, members, ofKind, record, set, withStateOfKind, type Carry } from "./shape.ts";

const NEXT = 2;

const file = members(keep("name", "size", "sha256"));

const machine = members(keep("kernel", "kernelBuild", "hostname", "architecture", "bootId", "cpuFeatures"));

/** manifest.json */
export const manifestFrom1: Carry = members({
  format: set(NEXT),
  ...keep("createdAt", "expiresAt", "chunkSize"),
  machine,
  files: each(file),
});

/** A directory that a process is in: of one that was removed, the object. */
const directory = changed({ gone: as("removed"), own: as("inOwnNamespace") });
const placeOf: Carry = (old, where) => (typeof old === "string" ? old : directory(old, where));
const filesystemContext = changed({ cwd: placeOf, root: placeOf });

const outsideTerminal = changed({ since: as("createdAt") });

const thread = members({
  ...keep("tid", "semaphoreUndo", "scheduling", "kernelPointers", "seccomp", "memoryPolicy", "credentials"),
  ...keep("keyrings", "signals", "interruptedCall"),
  tidsInside: as("tidsInNamespaces"),
  apart: as("unshared", changed({ filesystem: filesystemContext })),
  switches: as("prctlSettings", changed({ tiles: as("amxTiles") })),
  marks: as("nameAndDeathSignal"),
  execution: changed({ blocked: as("signalMask") }),
});

const attributes = changed({
  thpWhereAdvised: as("thpExceptAdvised"),
  timerIdsChosen: as("timerCreateRestoreIds"),
  futexSlots: as("futexHashSlots"),
  mayUseTiles: as("amxPermitted"),
  loginUser: as("loginUid"),
  sessionNice: as("autogroupNice"),
});

const resources = members({
  ...keep("layout", "denyWriteExecute", "protectionKeys", "signalActions", "membarrier", "intervalTimers"),
  ...keep("posixTimers", "limits", "posixLocks", "cgroups", "namespaces", "sharing", "sysvUse"),
  futureLocks: as("mlockall"),
  nodePolicy: as("memoryPolicyRanges"),
  filesystemContext,
  attributes,
  localDescriptors: as("ldt"),
});

const mapping = changed({ charged: as("accounted"), common: as("cowShared"), guards: as("guardRegions") });

const body = members({
  threads: each(thread),
  ...keep("endedLeader", "descriptors", "vdso"),
  mappings: each(mapping),
  resources,
});

const process = members({
  ...keep("pid", "ppid", "pgid", "sid", "command", "exitSignal", "stopped", "zombie", "shares"),
  inside: as("pidNamespace"),
  childrenNamespace: as("pidNamespaceForChildren"),
  unwaited: as("waitable"),
  terminal: as("controllingTerminal", changed({ terminal: changed({ outside: outsideTerminal }) })),
  body,
});

const openFile = members({
  ...keep("kind", "flags", "position", "locks", "net", "mnt", "state"),
  owner: as("signalOwner"),
});

/** The path of a mount that the machine has in a group: one was kept, and now there may be several. */
const group: Carry = (path) => [path];

const mount = changed({ at: as("mountPoint"), from: as("source"), machines: as("machineMount") });

const boundName = changed({ own: as("ownName") });

const segment = changed({ creatorInside: as("creatorInSet") });

/** A device, with the other end of one that the machine has. */
const link: Carry = (old, where) =>
  changed({ below: as("lower"), names: as("altnames"), peer: changed({ outside: link }) })(old, where);

const inParent = { folder: as("parentDirectory") };

const objectKinds = {
  ...keep("path-file", "memfd", "shared-anonymous", "sysv-semaphores", "sysv-queue", "pipe", "io-uring", "bpf-map"),
  ...keep("pty", "aio", "packet-ring", "keyring", "uts-namespace", "file-system", "cgroup-tree", "cgroup-namespace"),
  "covered-file": changed({ kind: set("shadowed-file") }),
  "unlinked-file": changed(inParent),
  "sysv-segment": changed({ segment }),
  fifo: changed(inParent),
  "gone-directory": changed({ kind: set("removed-directory"), ...inParent }),
  "gone-queue": changed({ kind: set("unlinked-queue") }),
  "detached-mount": changed({ from: as("source") }),
  "unix-connection": changed({
    held: as("openEnds"),
    accepted: changed({ name: boundName }),
    bound: boundName,
  }),
  "ipc-namespace": changed({ sysv: changed({ segments: each(segment) }) }),
  "net-namespace": changed({ links: each(link), proxies: as("proxyNeighbours") }),
  "mount-namespace": members({
    ...keep("kind", "owner"),
    mounts: each(mount),
    groups: as("peerGroups", record(group)),
  }),
  "user-namespace": changed({ uids: as("uidMap"), gids: as("gidMap") }),
};

/** What a file of each kind says of itself. */
const fileKinds = {
  ...keep("namespace", "regular", "fifo", "eventfd", "timerfd", "signalfd", "epoll", "bpf-map"),
  ...keep("io-uring", "raw-socket", "netlink-socket", "packet-socket", "other-socket", "pty-master", "refused"),
  "proc-file": changed({ ended: changed({ holder: as("namespaceMember") }) }),
  "message-queue": changed({ gone: as("unlinked") }),
  directory: changed({ gone: as("removed"), special: changed(inParent) }),
  pidfd: changed({ holder: as("namespaceMember") }),
  device: changed({ gone: as("unlinked", changed(inParent)) }),
  tun: changed({ device: changed({ link }) }),
  inotify: changed({ lost: as("overflowed") }),
  fanotify: changed({ marks: each(changed({ on: as("markType") })) }),
  pipe: changed({ inherited: changed({ from: as("processes") }) }),
  "unix-socket": changed({
    name: boundName,
    listening: changed({ pendingBy: as("pendingPeers") }),
    target: as("destination", boundName),
    reset: as("connectionReset"),
  }),
  "tcp-connecting": changed({ keys: as("md5Keys"), ended: as("sendShutdown") }),
  "tcp-connection": changed({ keys: as("md5Keys"), deaf: as("receiveShutdown"), silence: as("quarantine") }),
  "inet-socket": changed({ keys: as("md5Keys"), silence: as("quarantine"), ended: as("closed") }),
  terminal: changed({ outside: outsideTerminal }),
};

/** state.json */
export const stateFrom1: Carry = members({
  format: set(NEXT),
  clocks: members(keep("realtime", "monotonic", "boottime")),
  processes: each(process),
  files: record((old, where) => openFile(withStateOfKind(fileKinds)(old, where), where)),
  objects: record(ofKind(objectKinds)),
  places: as("mountNamespaceOf"),
});
