/** What the processes of a thawed namespace enter it by. */
import type { LocalFd } from "../../lib/brand.ts";

export interface NamespaceHandle {
  /** Keeps the namespace alive until the thaw has ended; setns(2) takes it. */
  readonly fd: LocalFd;
}
