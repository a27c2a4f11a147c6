/** Lending a file to a process under a number of choice, whatever stands there. */
import { F, O } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawProcess } from "../thaw-context.ts";

const FD_CLOEXEC = 1;

/** Puts our `local` at number `fd` of the process for the time of `use`, and what stood there back afterwards. */
export function atNumber(process: ThawProcess, local: LocalFd, fd: number, use: (fd: number) => void): void {
  const { scope } = process;
  const about = `Lending descriptor ${fd} to process ${process.pid}`;
  const before = scope.attempt("fcntl", fd, F.F_GETFD, 0);
  const aside = before < 0 ? undefined : scope.call("fcntl", about, fd, F.F_DUPFD_CLOEXEC, 0);
  try {
    process.lend(local, (lent) => {
      if (lent === fd) return use(fd);
      scope.call("dup3", about, lent, fd, O.O_CLOEXEC);
      use(fd);
      if (aside === undefined) scope.call("close", about, fd);
    });
  } finally {
    if (aside !== undefined) {
      scope.attempt("dup3", aside, fd, (before & FD_CLOEXEC) === 0 ? 0 : O.O_CLOEXEC);
      scope.attempt("close", aside);
    }
  }
}
