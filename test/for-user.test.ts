/** What ordinary users may have is closed by default: each kind says it itself, and one that does not is refused. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Kind } from "../src/image/kinds.ts";
import { partReasons } from "../src/image/user/ownership.ts";
import type { UserView } from "../src/resources/contract.ts";
import { fileKinds, objectKinds, processResources, threadResources } from "../src/resources/registry.ts";

const view: UserView = { user: { uid: 1000, gid: 1000, groups: [] }, pids: new Set(), pathsOf: () => [] };
const lists: Readonly<Record<string, readonly Kind[]>> = {
  files: fileKinds,
  objects: objectKinds,
  processes: processResources,
  threads: threadResources,
};

/** Whoever adds a kind decides: it says `forUser`, or it stands here. */
const NOT_FOR_USERS: Readonly<Record<string, string>> = {
  files:
    "proc-file namespace message-queue tun fanotify bpf-map io-uring tcp-connecting raw-socket netlink-socket packet-socket other-socket refused",
  objects:
    "shadowed-file sysv-segment sysv-semaphores sysv-queue unlinked-queue named-queue detached-mount io-uring bpf-map aio packet-ring uts-namespace ipc-namespace net-namespace file-system removed-source mount-namespace user-namespace cgroup-namespace",
  processes: "",
  threads: "registeredRings",
};

const reasons = (kind: Kind | undefined, state: unknown): string[] => [
  ...partReasons({ what: "a thing", kind, state, flags: "0" }, view),
];

describe("a kind that does not say what users may have of it", () => {
  for (const [name, kinds] of Object.entries(lists))
    test(`is refused: ${name}`, () => {
      for (const kind of kinds) {
        const silent = { ...kind } as { forUser?: unknown };
        delete silent.forUser;
        assert.match(reasons(silent as Kind, {}).join(), /not for ordinary users/, kind.name);
      }
      const unsaid = kinds.filter(({ forUser }) => !forUser).map((kind) => kind.name);
      assert.deepEqual(unsaid.toSorted(), (NOT_FOR_USERS[name] ?? "").split(" ").filter(Boolean).toSorted());
      for (const kind of kinds.filter(({ forUser }) => !forUser))
        assert.match(reasons(kind, {}).join(), /not for ordinary users/, kind.name);
    });

  test("is refused: one that is not in the registry", () => {
    assert.match(reasons(undefined, {}).join(), /not for ordinary users/);
  });
});

test("what a kind is asked for users says no where a right is needed", () => {
  const of = (list: string, name: string): Kind | undefined => lists[list]?.find((kind) => kind.name === name);
  const refusals: readonly (readonly [string, string, unknown, RegExp])[] = [
    [
      "processes",
      "attributes",
      { dumpable: 0, oomScoreAdj: -1, autogroupNice: -1 },
      /set-user-id.*out-of-memory.*weight/,
    ],
    ["processes", "filesystemContext", { root: "/jail", cwd: "/", umask: 0 }, /root directory/],
    ["processes", "namespaces", { net: "net:1" }, /namespaces/],
    ["processes", "sysvUse", ["sysv"], /System V/],
    ["threads", "scheduling", { policy: "SCHED_FIFO", nice: -1, ioPriority: 1 << 13 }, /SCHED_FIFO.*nice.*real-time/],
    ["threads", "seccomp", { mode: "strict", filters: [] }, /filter/],
    ["threads", "prctlSettings", { ioFlusher: true }, /I\/O/],
    ["threads", "semaphoreUndo", { separate: false, adjustments: [] }, /SEM_UNDO/],
    ["files", "timerfd", { clock: "CLOCK_REALTIME_ALARM" }, /CAP_WAKE_ALARM/],
    ["files", "device", { path: "/dev/x", device: "1:1", unlinked: {} }, /node is gone/],
    ["files", "directory", { special: { device: "1:1" } }, /node is gone/],
    [
      "files",
      "inet-socket",
      { local: { port: 1 }, options: { SO_MARK: 1, SO_PRIORITY: 7 } },
      /port.*SO_MARK.*priority/,
    ],
    ["objects", "keyring", { uid: 0, keys: [] }, /another user/],
    ["objects", "unix-connection", { creators: [{ pid: 1, uid: 0, gid: 0 }] }, /who made it/],
  ];
  for (const [list, name, state, pattern] of refusals)
    assert.match(reasons(of(list, name), state).join(" "), pattern, name);
});
