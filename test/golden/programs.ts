/** Which programs golden images are made of, and which kinds of resource each format had. */

/** In golden/programs/ or test/programs/: what C library they are linked with, and where they run, must not matter to them. */
export const PROGRAMS: readonly string[] = [
  ...["aio", "bpf-maps", "chroot-files", "devices", "directories", "epoll", "eventfd", "family", "fanotify-marks"],
  ...["fifo", "files-nofollow", "files-unlinked", "inet-unconnected", "inotify", "interval-timer-queued", "io-uring"],
  ...["keyring", "locks", "memfd", "memory-cow", "memory-files", "memory-guard", "memory-keys", "memory-lockall"],
  ...["memory-nodes", "memory-policy", "memory-private", "memory-shared", "memory-sysv", "mount-covered-files"],
  // Not in format 1.
  ...["mount-removed", "mqueue-outside"],
  ...[
    "mount-follows",
    "mount-groups",
    "mount-tmpfs",
    "mount-unmounted",
    "mqueue-messages",
    "namespace-cgroup",
    "namespace-held-path",
  ],
  ...["namespace-ipc", "namespace-mnt", "namespace-pid", "namespace-user", "namespace-uts", "netlink", "pidfd"],
  ...["pipe-data", "posix-timers-queued", "proc-files", "process-marks", "pty", "pty-session", "seccomp-filter"],
  ...["semaphores-undo", "share-files", "share-memory", "signalfd", "sleeps", "socket-packet", "socket-raw"],
  ...["stopped-child", "sysv-used", "tcp-connecting", "tcp-loopback", "thread-attributes", "threads", "threads-apart"],
  ...["timerfd", "tun", "udp-queue", "unix-dgram", "unix-listen", "vdso", "zombies"],
];

/** An image of one of them that is encrypted; its key lies beside it. */
export const ENCRYPTED = "encrypted";
export const ENCRYPTED_PROGRAM = "eventfd";

/** All kinds that images of a format may hold, as they were called then. */
export const KINDS: Readonly<Record<number, readonly string[]>> = {
  1: [
    ...words(`layout futureLocks nodePolicy denyWriteExecute protectionKeys signalActions filesystemContext attributes
      membarrier localDescriptors intervalTimers posixTimers limits posixLocks cgroups namespaces sharing sysvUse`),
    ...words(`semaphoreUndo scheduling kernelPointers seccomp switches memoryPolicy credentials keyrings marks signals
      interruptedCall execution`),
    ...words(`proc-file namespace message-queue directory pidfd regular device tun pipe fifo eventfd timerfd signalfd
      epoll inotify fanotify bpf-map io-uring unix-socket tcp-connecting tcp-connection raw-socket inet-socket
      netlink-socket packet-socket other-socket pty-master terminal refused`).map((name) => `file ${name}`),
    ...words(`path-file covered-file unlinked-file memfd shared-anonymous sysv-segment sysv-semaphores sysv-queue pipe
      fifo gone-directory gone-queue detached-mount pty io-uring bpf-map aio packet-ring keyring unix-connection
      uts-namespace ipc-namespace net-namespace file-system mount-namespace user-namespace cgroup-tree
      cgroup-namespace`).map((name) => `object ${name}`),
  ],
  2: [
    ...words(`layout mlockall memoryPolicyRanges denyWriteExecute protectionKeys signalActions filesystemContext
      attributes membarrier ldt intervalTimers posixTimers limits posixLocks cgroups namespaces sharing sysvUse`),
    ...words(`semaphoreUndo scheduling kernelPointers seccomp prctlSettings memoryPolicy registeredRings credentials
      keyrings nameAndDeathSignal signals interruptedCall execution`),
    ...words(`proc-file namespace message-queue directory pidfd regular device tun pipe fifo eventfd timerfd signalfd
      epoll inotify fanotify bpf-map io-uring unix-socket tcp-connecting tcp-connection raw-socket inet-socket
      netlink-socket packet-socket other-socket pty-master terminal refused`).map((name) => `file ${name}`),
    ...words(`carried-files path-file volatile-file shadowed-file unlinked-file memfd shared-anonymous sysv-segment
      sysv-semaphores sysv-queue pipe fifo removed-directory unlinked-queue named-queue detached-mount pty io-uring
      bpf-map aio packet-ring keyring unix-connection uts-namespace ipc-namespace net-namespace file-system
      removed-source mount-namespace user-namespace cgroup-tree cgroup-namespace`).map((name) => `object ${name}`),
  ],
};

function words(text: string): string[] {
  return text.split(/\s+/);
}

/** Kinds of which there is no golden image, and why. */
export const NOT_KEPT: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  1: {
    "file other-socket": "a freeze refuses what is of this kind",
    "file refused": "a freeze refuses what is of this kind",
    sharing: "has no state: a freeze refuses what is shared with others, and `shares` says what is shared within a set",
  },
  2: {
    "file other-socket": "a freeze refuses what is of this kind",
    "file refused": "a freeze refuses what is of this kind",
    sharing: "has no state, as in format 1",
    registeredRings: "has no state: a freeze refuses what there is",
  },
};
