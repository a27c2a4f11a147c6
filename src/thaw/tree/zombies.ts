/** Children that have ended and that their parent has not waited for yet: they end once more, in the same way. */
import { readFileSync } from "node:fs";
import { attempt, withStruct } from "../../sys/call.ts";
import { makeFileSystem } from "../../sys/mount.ts";
import { PR } from "../../abi/prctl.ts";
import { SIGNAL } from "../../abi/signal.ts";
import { WAIT_CORE_FLAG } from "../../abi/wait.ts";
import { idInside, type UserNamespaceHandle } from "../../resources/namespace/user.ts";
import { waitForEnd } from "./clone-process.ts";
import type { BuiltProcess } from "../fill/process.ts";

const UNCHANGED = -1;
const RLIMIT_CORE = 4;

/** Lets a child end as the one that it stands for did, and takes the news of it away from the parent. */
export function makeZombie(zombie: BuiltProcess): void {
  const { status = 0, uid = 0 } = zombie.state.zombie ?? {};
  const signal = status & 0x7f;
  const { scope, command } = zombie;
  scope.call("prctl", "Naming a process that has ended", PR.SET_NAME, scope.put(Buffer.from(`${command}\0`)));
  if (signal === 0) {
    changeUser(zombie, uid);
    scope.exit((status >> 8) & 0xff);
    waitForEnd(zombie.pid);
  } else if ((status & WAIT_CORE_FLAG) !== 0) {
    dumpCore(zombie, signal, uid);
  } else {
    changeUser(zombie, uid);
    scope.die(signal);
    waitForEnd(zombie.pid);
  }
  zombie.parent?.scope.forgetSignal(SIGNAL.SIGCHLD);
}

function changeUser({ scope, context }: BuiltProcess, uid: number): void {
  if (uid === 0) return;
  const user = scope.user === undefined ? undefined : context.object<UserNamespaceHandle>(scope.user).state;
  const called = user ? (idInside(user.uidMap, uid) ?? UNCHANGED) : uid;
  scope.call("setresuid", "Giving a process that has ended its user", called, UNCHANGED, UNCHANGED);
}

/**
 * Only a core file that was really written leaves its mark in the status (core(5)): it goes to a file system
 * in memory that is the whole world of the process, stands nowhere, and ends with our descriptor of it.
 */
function dumpCore(zombie: BuiltProcess, signal: number, uid: number): void {
  const { scope, pid, context, command } = zombie;
  const pattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
  if (pattern.startsWith("|")) {
    context.note(`Process ${pid} (${command}) has left a core file, and its status does not say so any more.`);
    changeUser(zombie, uid);
    scope.die(signal);
    waitForEnd(pid);
    return;
  }
  const directory = context.keep(makeFileSystem("tmpfs", "kmonte", ["mode=777", "size=64m"]));
  zombie.lend(directory, (fd) => scope.call("fchdir", "Entering a directory", fd));
  scope.call("chroot", "Entering a directory", scope.put(Buffer.from(".\0")));
  changeUser(zombie, uid);
  withStruct(16, (bytes, address) => {
    bytes.fill(0xff);
    attempt("prlimit64", pid, RLIMIT_CORE, address, 0);
  });
  scope.die(signal, true);
  waitForEnd(pid);
}
