/**
 * Every failure that a person meets: `failures.CODE({ … })` gives the error, with its texts filled in. The areas say
 * which part of kmonte gives a code first; docs/errors.md and docs/support.md are made of them.
 */
import { type Entries, makersOf } from "./entry.ts";
import { cli } from "./areas/cli.ts";
import { daemon } from "./areas/daemon.ts";
import { doctor } from "./areas/doctor.ts";
import { freeze } from "./areas/freeze.ts";
import { image } from "./areas/image.ts";
import { keys } from "./areas/keys.ts";
import { report } from "./areas/report.ts";
import { asyncIo } from "./areas/resources/async-io.ts";
import { bpf } from "./areas/resources/bpf.ts";
import { cgroup } from "./areas/resources/cgroup.ts";
import { device } from "./areas/resources/device.ts";
import { event } from "./areas/resources/event.ts";
import { files } from "./areas/resources/file.ts";
import { ipc } from "./areas/resources/ipc.ts";
import { memory } from "./areas/resources/memory.ts";
import { mount } from "./areas/resources/mount.ts";
import { namespace } from "./areas/resources/namespace.ts";
import { net } from "./areas/resources/net.ts";
import { pipe } from "./areas/resources/pipe.ts";
import { processes } from "./areas/resources/process.ts";
import { security } from "./areas/resources/security.ts";
import { socket } from "./areas/resources/socket.ts";
import { tcp } from "./areas/resources/tcp.ts";
import { thread } from "./areas/resources/thread.ts";
import { tty } from "./areas/resources/tty.ts";
import { unix } from "./areas/resources/unix.ts";
import { swap } from "./areas/swap.ts";
import { system } from "./areas/system.ts";
import { thaw } from "./areas/thaw.ts";
import { tracee } from "./areas/tracee.ts";
import { units } from "./areas/units.ts";

/** The entries, by the part of kmonte that gives them. */
export const AREAS = {
  asyncIo,
  bpf,
  cgroup,
  cli,
  daemon,
  device,
  doctor,
  event,
  files,
  freeze,
  image,
  ipc,
  keys,
  memory,
  mount,
  namespace,
  net,
  pipe,
  processes,
  report,
  security,
  socket,
  swap,
  system,
  tcp,
  thaw,
  thread,
  tracee,
  tty,
  units,
  unix,
} satisfies Readonly<Record<string, Entries>>;

/** What is refused while processes are looked at; docs/support.md lists it. */
export const LOOKING: readonly (keyof typeof AREAS)[] = [
  "asyncIo",
  "bpf",
  "cgroup",
  "device",
  "event",
  "files",
  "freeze",
  "ipc",
  "memory",
  "mount",
  "namespace",
  "net",
  "pipe",
  "processes",
  "security",
  "socket",
  "tcp",
  "thread",
  "tty",
  "unix",
];

export const failures = makersOf({
  ...asyncIo,
  ...bpf,
  ...cgroup,
  ...cli,
  ...daemon,
  ...device,
  ...doctor,
  ...event,
  ...files,
  ...freeze,
  ...image,
  ...ipc,
  ...keys,
  ...memory,
  ...mount,
  ...namespace,
  ...net,
  ...pipe,
  ...processes,
  ...report,
  ...security,
  ...socket,
  ...swap,
  ...system,
  ...tcp,
  ...thaw,
  ...thread,
  ...tracee,
  ...tty,
  ...units,
  ...unix,
});
