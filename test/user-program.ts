/** Programs of a real unprivileged user, frozen and thawed by root: what they hold, and why a thaw was refused. */
import { chownSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { KmonteError, RefusalList } from "./kmonte-library.ts";
import { Program } from "./harness.ts";

export const USER = 54_331;

/** How setpriv(1) makes somebody that user and nothing else. */
export const asId = (uid: number): string[] => [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

/** A Python program of the user's own in a folder; `asRoot` is run before, and what it opens is inherited. */
export async function startIn(home: string, code: string, asRoot = "", uid = USER): Promise<Program> {
  const all = `import fcntl,os,socket,sys,time\nos.chdir(${JSON.stringify(home)})\n${code}\nprint("READY",flush=True)\ntime.sleep(1000)`;
  const argv = JSON.stringify(["setpriv", ...asId(uid), "/usr/bin/python3", "-c", all]);
  const first = `import os\nos.umask(0o22)\ndef keep(fd): os.set_inheritable(fd, True)\n${asRoot}\nos.execvp("setpriv", ${argv})`;
  const program = Program.start("/usr/bin/python3", ["-c", first]);
  await program.waitFor(/^READY$/m);
  return program;
}

export const codesOf = (error: unknown): string[] =>
  error instanceof RefusalList
    ? error.refusals.map(({ code }) => code)
    : error instanceof KmonteError
      ? [error.code]
      : [String(error)];

/** What the descriptors and the working directory of a process lead to. */
export function held(pid: number): string[] {
  const links = [...readdirSync(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`), "cwd"];
  return links.map((name) => idOf(`/proc/${pid}/${name}`));
}

export const idOf = (path: string): string => `${statSync(path).dev}:${statSync(path).ino}`;

/** Makes the user's own folder anew, and one that only root may enter. */
export function makeFolders(home: string, roots: string): void {
  for (const name of [home, roots]) rmSync(name, { recursive: true, force: true });
  mkdirSync(home, { mode: 0o755 });
  chownSync(home, USER, USER);
  mkdirSync(roots, { mode: 0o700 });
}
