/**
 * All kinds of resource, in the order in which they are frozen and thawed. The order is part of the design: each list
 * says why where it matters.
 */
import type { GenericSchema, InferOutput } from "valibot";
import type { FileKind, ObjectKind, ProcessResource, ThreadResource } from "./contract.ts";
import { statelessDevice } from "./file/device.ts";
import { directory } from "./file/directory.ts";
import { epoll } from "./event/epoll.ts";
import { eventFd } from "./event/eventfd.ts";
import { bpfMapFile } from "./bpf/map-file.ts";
import { fanotify } from "./event/fanotify.ts";
import { fifoEnd } from "./pipe/fifo-end.ts";
import { inotify } from "./event/inotify.ts";
import { pidFd } from "./event/pidfd.ts";
import { pipeEnd } from "./pipe/pipe-end.ts";
import { ptyMaster } from "./tty/pty-master.ts";
import { tun } from "./net/tun.ts";
import { terminal } from "./tty/terminal.ts";
import { unsupportedFile } from "./file/unsupported.ts";
import { messageQueue } from "./ipc/mqueue-file.ts";
import { namespaceFile } from "./namespace/file.ts";
import { procFile } from "./file/proc-file.ts";
import { regularFile } from "./file/regular.ts";
import { signalFd } from "./event/signalfd.ts";
import { timerFd } from "./event/timerfd.ts";
import { ioUringFile } from "./async-io/io-uring-file.ts";
import { inetSocket } from "./socket/inet.ts";
import { netlinkSocket } from "./socket/netlink.ts";
import { rawSocket } from "./socket/raw.ts";
import { packetSocket } from "./socket/packet.ts";
import { otherSocket } from "./socket/unsupported.ts";
import { tcpConnecting } from "./socket/tcp/connecting.ts";
import { tcpConnection } from "./socket/tcp/connection.ts";
import { unixSocket } from "./socket/unix/socket.ts";
import { denyWriteExecute } from "./memory/deny-write-execute.ts";
import { protectionKeys } from "./memory/protection-keys.ts";
import { mlockall } from "./memory/future-locks.ts";
import { layout } from "./memory/layout.ts";
import { memoryPolicyRanges } from "./memory/node-policy.ts";
import { aio } from "./async-io/aio.ts";
import { bpfMap } from "./bpf/map.ts";
import { carriedFiles } from "./volatile/carried-files.ts";
import { shadowedFile } from "./file/shadowed-file.ts";
import { detachedMount } from "./mount/detached.ts";
import { fifo } from "./pipe/fifo.ts";
import { removedDirectory } from "./file/removed-directory.ts";
import { unlinkedQueue } from "./ipc/unlinked-mqueue.ts";
import { ioUring } from "./async-io/io-uring.ts";
import { keyring } from "./security/keyring.ts";
import { memfd } from "./file/memfd.ts";
import { namedQueue } from "./ipc/named-mqueue.ts";
import { packetRing } from "./socket/packet-ring.ts";
import { pathFile } from "./file/path-file.ts";
import { pipe } from "./pipe/pipe.ts";
import { pty } from "./tty/pty.ts";
import { sharedAnonymous } from "./memory/shared-anonymous.ts";
import { sysvSegment } from "./ipc/sysv-attached-segment.ts";
import { sysvQueue, sysvSemaphores } from "./ipc/sysv-used-objects.ts";
import { unixConnection } from "./socket/unix/pair.ts";
import { unlinkedFile } from "./file/unlinked-file.ts";
import { volatileFile } from "./volatile/volatile-file.ts";
import { ipcNamespace } from "./ipc/namespace.ts";
import { cgroupNamespace } from "./cgroup/namespace.ts";
import { fileSystem } from "./mount/file-system.ts";
import { mountNamespace } from "./mount/namespace.ts";
import { netNamespace } from "./net/namespace.ts";
import { removedSource } from "./mount/removed-source.ts";
import { userNamespace } from "./namespace/user.ts";
import { utsNamespace } from "./namespace/uts.ts";
import { cgroups } from "./cgroup/membership.ts";
import { cgroupTree } from "./cgroup/tree.ts";
import { attributes } from "./process/attributes.ts";
import { filesystemContext } from "./process/filesystem-context.ts";
import { intervalTimers } from "./process/interval-timers.ts";
import { resourceLimits } from "./process/limits.ts";
import { namespaces } from "./namespace/membership.ts";
import { posixTimers } from "./process/posix-timers.ts";
import { sharing } from "./process/sharing.ts";
import { ldt } from "./process/ldt.x86_64.ts";
import { membarrier } from "./process/membarrier.ts";
import { posixLocks } from "./process/posix-locks.ts";
import { signalActions } from "./process/signal-actions.ts";
import { sysvUse } from "./ipc/sysv-use.ts";
import { credentials } from "./security/credentials.ts";
import { execution } from "./thread/execution.ts";
import { interruptedCall } from "./thread/interrupted-call.ts";
import { kernelPointers } from "./thread/kernel-pointers.ts";
import { keyrings } from "./security/keyrings.ts";
import { nameAndDeathSignal } from "./thread/name-and-death-signal.ts";
import { prctlSettings } from "./thread/prctl-settings.ts";
import { memoryPolicy } from "./thread/memory-policy.ts";
import { registeredRings } from "./async-io/io-uring-registered.ts";
import { scheduling } from "./thread/scheduling.ts";
import { seccomp } from "./security/seccomp.ts";
import { semaphoreUndo } from "./ipc/semaphore-undo.ts";
import { threadSignals } from "./thread/signals.ts";

/** Before any thread gives up its rights. */
const processResourcesInOrder = [
  layout,
  mlockall,
  memoryPolicyRanges,
  denyWriteExecute,
  protectionKeys,
  signalActions,
  filesystemContext,
  attributes,
  membarrier,
  ldt,
  intervalTimers,
  posixTimers,
  resourceLimits,
  posixLocks,
  cgroups,
  namespaces,
  sharing,
  sysvUse,
] as const;

/** Credentials before the marks that changing them clears, and before keys, which belong to whoever makes them; execution last, because every remote call uses registers. */
const threadResourcesInOrder = [
  semaphoreUndo,
  scheduling,
  kernelPointers,
  seccomp,
  prctlSettings,
  memoryPolicy,
  registeredRings,
  credentials,
  keyrings,
  nameAndDeathSignal,
  threadSignals,
  interruptedCall,
  execution,
] as const;

/** The first kind that recognises a file takes it. */
const fileKindsInOrder = [
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
  unsupportedFile,
] as const;

const objectKindsInOrder = [
  carriedFiles,
  pathFile,
  volatileFile,
  shadowedFile,
  unlinkedFile,
  memfd,
  sharedAnonymous,
  sysvSegment,
  sysvSemaphores,
  sysvQueue,
  pipe,
  fifo,
  removedDirectory,
  unlinkedQueue,
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
] as const;

/** Each kind only ever gets its own state back: the lists are seen with states of an unknown type. */
export const processResources: readonly ProcessResource<unknown, keyof ProcessStates>[] = processResourcesInOrder;
export const threadResources: readonly ThreadResource<unknown, keyof ThreadStates>[] = threadResourcesInOrder;
export const fileKinds: readonly FileKind<unknown>[] = fileKindsInOrder;
export const objectKinds: readonly ObjectKind<unknown, unknown>[] = objectKindsInOrder;

type Named = { readonly name: string; readonly schema: GenericSchema };
type StatesByName<K extends Named> = { [N in K["name"]]: InferOutput<Extract<K, { name: N }>["schema"]> };

/** The states of what a process, or a thread, has one of, by the names of the kinds. */
export type ProcessStates = StatesByName<(typeof processResourcesInOrder)[number]>;
export type ThreadStates = StatesByName<(typeof threadResourcesInOrder)[number]>;
