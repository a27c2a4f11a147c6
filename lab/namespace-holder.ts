/** What a machine made of namespaces keeps from boot to boot, held by a process that outlives whoever started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { basename, join } from "node:path";
import { KmonteError } from "../src/errors/failure.ts";
import { cacheDirectory } from "./cache.ts";
import { controlGroupRoot } from "./control-groups.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { type ClientNetwork, HOST_ADDRESS, HOST_ADDRESS6, networkOf, saysReady } from "./wire.ts";

const SCRIPT = join(import.meta.dirname, "namespaces/hold.sh");

/** Ending processes and removing control groups takes hold.sh a second at most; it gives up after ten. */
const END_MS = 20_000;

export class NamespaceHolder implements AsyncDisposable {
  /** The host's pid of the process in whose mount and network namespaces all boots begin. */
  readonly pid: number;
  /** A folder of the host, and the folder in it on which the disk is mounted, in the holder's mount namespace alone. */
  readonly directory: string;
  readonly root: string;
  /** How the paths of the machine's control groups begin. */
  readonly groups: string;
  /** Where the clients are. */
  readonly network: ClientNetwork;
  readonly #child: ChildProcess;
  readonly #stack: DisposableStack;

  private constructor(child: ChildProcess, pid: number, directory: string, groups: string, stack: DisposableStack) {
    this.#child = child;
    this.pid = pid;
    this.directory = directory;
    this.root = join(directory, "root");
    this.groups = groups;
    this.network = networkOf(pid);
    this.#stack = stack;
  }

  /** Mounts a copy of this disk image, and makes the network. */
  static async open(disk: string): Promise<NamespaceHolder> {
    using stack = new DisposableStack();
    const directory = stack.use(temporaryDirectory("machine-", cacheDirectory())).path;
    const groups = join(controlGroupRoot(), `kmonte-lab-${basename(directory)}-`);
    const addresses = [`${HOST_ADDRESS}/24`, `${HOST_ADDRESS6}/64`];
    const namespaces = ["--mount", "--propagation", "private", "--net"];
    const args = [...namespaces, SCRIPT, directory, groups, disk, ...addresses];
    // In a session of its own: ^C is for whoever started it, and it cleans up afterwards.
    const child = spawn("unshare", args, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    child.stdin.on("error", () => {});
    if (!(await saysReady(child)) || child.pid === undefined) {
      throw new KmonteError("LAB_NO_NAMESPACES", {
        what: "The disk and the network of a machine of namespaces could not be made.",
        why: said.trim() || `unshare ${namespaces.join(" ")} did not start.`,
        remedy: `Run the same command as root, with room for the disk in ${cacheDirectory()}, on a kernel with loop devices, bridges and virtual Ethernet pairs.`,
      });
    }
    return new NamespaceHolder(child, child.pid, directory, groups, stack.move());
  }

  /** Ends all processes of the machine and removes all that it was made of. */
  async [Symbol.asyncDispose](): Promise<void> {
    using _stack = this.#stack;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit", { signal: AbortSignal.timeout(END_MS) });
    this.#child.stdin?.end();
    await ended;
  }
}
