/**
 * All kinds of resource, in the order in which they are frozen and thawed. The order is part of the design: each list
 * says why where it matters.
 */
import type { FileKind, ObjectKind, ProcessResource, ThreadResource } from "./contract.ts";
import { statelessDevice } from "./files/device.ts";
import { directory } from "./files/directory.ts";
import { epoll } from "./files/epoll.ts";
import { eventFd } from "./files/eventfd.ts";
import { bpfMapFile } from "./files/bpf-map.ts";
import { fanotify } from "./files/fanotify.ts";
import { fifoEnd } from "./files/fifo.ts";
import { inotify } from "./files/inotify.ts";
import { pidFd } from "./files/pidfd.ts";
import { pipeEnd } from "./files/pipe.ts";
import { ptyMaster } from "./files/pty-master.ts";
import { tun } from "./files/tun.ts";
import { terminal } from "./files/terminal.ts";
import { refusedFile } from "./files/refused.ts";
import { messageQueue } from "./files/message-queue.ts";
import { namespaceFile } from "./files/namespace.ts";
import { procFile } from "./files/proc-file.ts";
import { regularFile } from "./files/regular.ts";
import { signalFd } from "./files/signalfd.ts";
import { timerFd } from "./files/timerfd.ts";
import { ioUringFile } from "./files/io-uring.ts";
import { inetSocket } from "./files/sockets/inet.ts";
import { netlinkSocket } from "./files/sockets/netlink.ts";
import { rawSocket } from "./files/sockets/raw.ts";
import { packetSocket } from "./files/sockets/packet.ts";
import { otherSocket } from "./files/sockets/other.ts";
import { tcpConnecting } from "./files/sockets/tcp-connecting.ts";
import { tcpConnection } from "./files/sockets/tcp-connection.ts";
import { unixSocket } from "./files/sockets/unix.ts";
import { denyWriteExecute } from "./memory/deny-write-execute.ts";
import { protectionKeys } from "./memory/protection-keys.ts";
import { futureLocks } from "./memory/future-locks.ts";
import { layout } from "./memory/layout.ts";
import { nodePolicy } from "./memory/node-policy.ts";
import { aio } from "./objects/aio.ts";
import { bpfMap } from "./objects/bpf-map.ts";
import { carriedFiles } from "./objects/carried-files.ts";
import { coveredFile } from "./objects/covered-file.ts";
import { detachedMount } from "./objects/detached-mount.ts";
import { fifo } from "./objects/fifo.ts";
import { goneDirectory } from "./objects/gone-directory.ts";
import { goneQueue } from "./objects/gone-queue.ts";
import { ioUring } from "./objects/io-uring.ts";
import { keyring } from "./objects/keyring.ts";
import { memfd } from "./objects/memfd.ts";
import { namedQueue } from "./objects/named-queue.ts";
import { packetRing } from "./objects/packet-ring.ts";
import { pathFile } from "./objects/path-file.ts";
import { pipe } from "./objects/pipe.ts";
import { pty } from "./objects/pty.ts";
import { sharedAnonymous } from "./objects/shared-anonymous.ts";
import { sysvSegment } from "./objects/sysv-segment.ts";
import { sysvQueue, sysvSemaphores } from "./objects/sysv-shared.ts";
import { unixConnection } from "./objects/unix-connection.ts";
import { unlinkedFile } from "./objects/unlinked-file.ts";
import { volatileFile } from "./objects/volatile-file.ts";
import { ipcNamespace } from "./namespaces/ipc.ts";
import { cgroupNamespace } from "./namespaces/cgroup.ts";
import { fileSystem } from "./namespaces/file-system.ts";
import { mountNamespace } from "./namespaces/mount.ts";
import { netNamespace } from "./namespaces/net.ts";
import { removedSource } from "./namespaces/removed-source.ts";
import { userNamespace } from "./namespaces/user.ts";
import { utsNamespace } from "./namespaces/uts.ts";
import { cgroups } from "./process/cgroups.ts";
import { cgroupTree } from "./process/cgroup-tree.ts";
import { attributes } from "./process/attributes.ts";
import { filesystemContext } from "./process/filesystem-context.ts";
import { intervalTimers } from "./process/interval-timers.ts";
import { resourceLimits } from "./process/limits.ts";
import { namespaces } from "./process/namespaces.ts";
import { posixTimers } from "./process/posix-timers.ts";
import { sharing } from "./process/sharing.ts";
import { localDescriptors } from "./process/local-descriptors.x86_64.ts";
import { membarrier } from "./process/membarrier.ts";
import { posixLocks } from "./process/posix-locks.ts";
import { signalActions } from "./process/signal-actions.ts";
import { sysvUse } from "./process/sysv-use.ts";
import { credentials } from "./thread/credentials.ts";
import { execution } from "./thread/execution.ts";
import { interruptedCall } from "./thread/interrupted-call.ts";
import { kernelPointers } from "./thread/kernel-pointers.ts";
import { keyrings } from "./thread/keyrings.ts";
import { marks } from "./thread/marks.ts";
import { switches } from "./thread/switches.ts";
import { memoryPolicy } from "./thread/memory-policy.ts";
import { ringUse } from "./thread/ring-use.ts";
import { scheduling } from "./thread/scheduling.ts";
import { seccomp } from "./thread/seccomp.ts";
import { semaphoreUndo } from "./thread/semaphore-undo.ts";
import { threadSignals } from "./thread/signals.ts";

// The lists hold kinds of many state types; each kind only ever gets its own back.
// oxlint-disable-next-line typescript/no-explicit-any
type Any = any;

/** Before any thread gives up its rights. */
export const processResources: readonly ProcessResource<Any>[] = [
  layout,
  futureLocks,
  nodePolicy,
  denyWriteExecute,
  protectionKeys,
  signalActions,
  filesystemContext,
  attributes,
  membarrier,
  localDescriptors,
  intervalTimers,
  posixTimers,
  resourceLimits,
  posixLocks,
  cgroups,
  namespaces,
  sharing,
  sysvUse,
];

/** Those of them that come before anything is opened: a process makes sockets where it lives. */
export const firstResources: readonly ProcessResource<Any>[] = [cgroups, namespaces];

/** Credentials before the marks that changing them clears, and before keys, which belong to whoever makes them; execution last, because every remote call uses registers. */
export const threadResources: readonly ThreadResource<Any>[] = [
  semaphoreUndo,
  scheduling,
  kernelPointers,
  seccomp,
  switches,
  memoryPolicy,
  ringUse,
  credentials,
  keyrings,
  marks,
  threadSignals,
  interruptedCall,
  execution,
];

/** The first kind that recognises a file takes it. */
export const fileKinds: readonly FileKind<Any>[] = [
  // These say that they are files and folders like others.
  procFile,
  namespaceFile,
  messageQueue,
  directory,
  // Since 6.9 a pidfd has an inode of its own, which says that it is a regular file.
  pidFd,
  regularFile,
  statelessDevice,
  tun,
  pipeEnd,
  fifoEnd,
  eventFd,
  timerFd,
  signalFd,
  epoll,
  inotify,
  fanotify,
  bpfMapFile,
  ioUringFile,
  unixSocket,
  tcpConnecting,
  tcpConnection,
  rawSocket,
  inetSocket,
  netlinkSocket,
  packetSocket,
  otherSocket,
  ptyMaster,
  terminal,
  // Last of all: what is left of devices and anonymous files.
  refusedFile,
];

export const objectKinds: readonly ObjectKind<Any, Any>[] = [
  carriedFiles,
  pathFile,
  volatileFile,
  coveredFile,
  unlinkedFile,
  memfd,
  sharedAnonymous,
  sysvSegment,
  sysvSemaphores,
  sysvQueue,
  pipe,
  fifo,
  goneDirectory,
  goneQueue,
  namedQueue,
  detachedMount,
  pty,
  ioUring,
  bpfMap,
  aio,
  packetRing,
  keyring,
  unixConnection,
  utsNamespace,
  ipcNamespace,
  netNamespace,
  fileSystem,
  removedSource,
  mountNamespace,
  userNamespace,
  cgroupTree,
  cgroupNamespace,
];
