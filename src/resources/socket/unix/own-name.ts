/**
 * Names of unix sockets that mean something only to who gave them: by way of a descriptor or the working directory of
 * the process itself (/proc/self/fd/7/attach, proc_pid_fd(5)), the usual way round the 108 bytes of a socket's name.
 * Such a name is given again in the process.
 */
import { failures } from "../../../errors/catalogue.ts";
import { InconsistentImage } from "../../../errors/wrong-input.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { F, O } from "../../../abi/fcntl.ts";
import { isForUser, userNow } from "../../../sys/identity.ts";
import type { MountView } from "../../../sys/mount-view.ts";
import { unixAddress } from "../../../abi/sockaddr.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { RemoteScope } from "../../../tracee/scope.ts";
import type { OpenFile } from "../../freeze-context.ts";
import type { ThawContext } from "../../thaw-context.ts";
import type { Workplace } from "../../file/create-in-directory.ts";
import { openCanonical, openPath } from "../../file/path-file.ts";
import { asCreator } from "../creator.ts";

export const ownNameSchema = v.strictObject({
  /** The process that the name is given in. */
  pid: v.number(),
  /** The descriptor that leads to the directory; absent for the working directory. */
  fd: v.optional(v.number()),
  /** Where that was. */
  directory: v.string(),
  /** The rest of the name, below the directory. */
  rest: v.string(),
});
export type OwnName = v.InferOutput<typeof ownNameSchema>;

const PATTERN = /^(?:\/proc\/(?:self|thread-self|\d+)(?:\/task\/\d+)?|(?=\/dev\/fd\/)\/dev)\/(?:fd\/(\d+)|cwd)\/(.+)$/;

/** Whether a name begins in what belongs to a process. */
export function isOwnName(name: string): boolean {
  return /^\/(proc|dev\/fd)\//.test(name);
}

/** `path` is where the socket's file stands or stood, as the kernel has it. */
export function freezeOwnName(file: OpenFile, name: string, path: string | undefined): OwnName {
  const [, fd, rest = ""] = PATTERN.exec(name) ?? [];
  const inside = rest === "" ? "" : `/${rest}`;
  if (path === undefined || inside === "" || !path.endsWith(inside) || rest.split("/").includes("..")) {
    throw failures.SOCKET_OWN_NAME({
      file,
      name,
      place: path === undefined ? "to where the kernel does not tell" : `to ${path}`,
    });
  }
  const directory = path.slice(0, -inside.length) || "/";
  return { pid: file.pid, ...(fd !== undefined && { fd: Number(fd) }), directory, rest };
}

/**
 * bind(2) in the process, in which the descriptor leads to the directory for that moment, with the rights that are used
 * in the folder that the socket file lies in.
 */
export function bindByOwnName(
  context: ThawContext,
  socket: LocalFd,
  { name, ...own }: OwnName & { readonly name: string },
  workplace: Workplace,
): void {
  const process = context.process(own.pid);
  if (!process) throw new InconsistentImage(`process ${own.pid}, which has bound a socket, is not in the image`);
  const local = own.rest.includes("/") ? openDirectory(context.mounts, own.directory) : workplace.folder;
  const user = userNow() ?? workplace.rights;
  const about = `Binding a socket to ${name}`;
  const raw = unixAddress(name);
  try {
    process.lend(socket, (fd) =>
      process.lend(local, (directory) => {
        const bind = (scope: RemoteScope, which: number): void =>
          void scope.call("bind", about, which, scope.put(raw), raw.length);
        const bindAsUser = (which: number): void =>
          user
            ? asCreator(process, { pid: own.pid, ...user }, (scope) => bind(scope, which))
            : bind(process.scope, which);
        if (own.fd === undefined) inDirectory(process.scope, directory, () => bindAsUser(fd));
        else withDescriptor(process.scope, { directory, as: own.fd, socket: fd }, bindAsUser);
      }),
    );
  } finally {
    if (local !== workplace.folder) closeSync(local);
  }
}

function openDirectory(mounts: MountView, path: string): LocalFd {
  const flags = O.O_PATH | O.O_DIRECTORY;
  return isForUser() ? openPath(mounts.at(path), flags) : openCanonical(mounts, path, flags);
}

/** What has the number at the moment, which may be the socket itself or a way of ours, gets it back. */
function withDescriptor(
  scope: RemoteScope,
  { directory, as, socket }: { directory: number; as: number; socket: number },
  use: (socket: number) => void,
): void {
  const about = "Lending a directory";
  const before = scope.attempt("fcntl", as, F.F_DUPFD_CLOEXEC, as + 1);
  if (directory !== as) scope.call("dup3", about, directory, as, O.O_CLOEXEC);
  try {
    use(socket === as ? before : socket);
  } finally {
    if (before >= 0) {
      scope.call("dup3", about, before, as, O.O_CLOEXEC);
      scope.call("close", about, before);
    } else scope.call("close", about, as);
  }
}

function inDirectory(scope: RemoteScope, directory: number, use: () => void): void {
  const about = "Going to a directory";
  const before = scope.call("open", about, scope.put(Buffer.from(".\0")), O.O_PATH | O.O_CLOEXEC, 0);
  scope.call("fchdir", about, directory);
  try {
    use();
  } finally {
    scope.call("fchdir", about, before);
    scope.call("close", about, before);
  }
}
