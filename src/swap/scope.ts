/**
 * A home for the thawed in systemd's tree of control groups: a scope of their own. In the group of the unit that
 * thawed them they would count as its remains.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failures } from "../errors/catalogue.ts";

export class Scope implements Disposable {
  readonly #keeper: ChildProcess;
  readonly #directory: Promise<string>;

  constructor(name: string) {
    // A scope begins with a process in it: a cat that ends when we close its input.
    const script = "cat /proc/self/cgroup && echo && exec cat";
    const description = "--description=Processes that kmonte brought across a change of kernel";
    const command = ["--scope", "--quiet", "--collect", `--unit=${name}.scope`, description, "--", "sh", "-c", script];
    this.#keeper = spawn("systemd-run", command, { stdio: ["pipe", "pipe", "pipe"] });
    this.#directory = this.#findDirectory();
    // Whoever calls adopt() hears of a failure; until then it is not unhandled.
    this.#directory.catch(() => {});
  }

  /** Moves processes into the scope. What has ended meanwhile, zombies included, is in no group that matters. */
  async adopt(pids: readonly number[]): Promise<void> {
    const procs = join(await this.#directory, "cgroup.procs");
    for (const pid of pids) {
      try {
        writeFileSync(procs, String(pid));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
  }

  #findDirectory(): Promise<string> {
    return new Promise((resolve, reject) => {
      let said = "";
      let errors = "";
      const fail = (why: string) => reject(failures.NO_SCOPE({ why: why.trim() }));
      this.#keeper.once("error", (error) => fail(error.message));
      this.#keeper.once("close", () => fail(`systemd-run ended: ${errors}`));
      this.#keeper.stderr?.setEncoding("utf8").on("data", (text: string) => (errors += text));
      this.#keeper.stdout?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (!said.includes("\n\n")) return;
        const directory = cgroupDirectory(said, existsSync("/sys/fs/cgroup/cgroup.controllers"));
        if (directory) resolve(directory);
        else fail(`Its control group is not where it is expected: ${said}`);
      });
    });
  }

  [Symbol.dispose](): void {
    this.#keeper.stdin?.end();
    this.#keeper.unref();
  }
}

/** Where systemd's control group of a process is, going by its /proc/PID/cgroup. */
export function cgroupDirectory(text: string, unified: boolean): string | undefined {
  const path = unified ? /^0::(.*)$/m.exec(text)?.[1] : /^\d+:name=systemd:(.*)$/m.exec(text)?.[1];
  if (path === undefined) return undefined;
  return `/sys/fs/cgroup${unified ? "" : "/systemd"}${path}`;
}
