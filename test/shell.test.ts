/** A program that works in a terminal goes on in another one (kmonte thaw --shell). */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import "./own-terminals.ts";
import { freeze } from "./kmonte-library.ts";
import { until } from "./harness.ts";
import { KMONTE } from "./kmonte.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");

class Window implements Disposable {
  readonly #child: ChildProcess;
  shown = "";

  constructor(...command: string[]) {
    this.#child = spawn("/usr/bin/python3", [join(FIXTURES, "terminal-window.py"), ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.shown += text));
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  async shows(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.shown), `${pattern} in ${JSON.stringify(this.shown)}`).catch(() => {
      assert.match(this.shown, pattern);
    });
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** The process of `shell` that runs the full-screen program. */
function programOf(shell: number): number {
  const [child] = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim().split(" ");
  return Number(child);
}

test("a full-screen program moves to another terminal", { timeout: 90_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "kmonte-shell-"));
  try {
    using first = new Window("bash", "--norc", "-i");
    await first.shows(/[$#] /);
    first.type(`python3 ${join(FIXTURES, "full-screen.py")}\n`);
    await first.shows(/\[ready\]/);
    first.type("a");
    await first.shows(/\[a\]/);
    const program = programOf(Number(/STARTED (\d+)/.exec(first.shown)?.[1]));
    await freeze({ pids: [program], directory: join(directory, "image"), end: "kill" });
    await first.shows(/Killed/);

    using second = new Window("bash", "--norc", "-i");
    await second.shows(/[$#] /);
    const shell = Number(/STARTED (\d+)/.exec(second.shown)?.[1]);
    second.type(`${KMONTE} thaw --shell ${join(directory, "image")}\n`);
    await second.shows(/\[redrawn\]/);
    second.type("b");
    await second.shows(/\[b\]/);
    second.type("t");
    await second.shows(new RegExp(`\\[/dev/pts/\\d+ True ${shell}\\]`));
    second.type("\u0003");
    await second.shows(/\[interrupted\]/);
    second.type("\u001a");
    await second.shows(/Stopped/);
    second.type("fg\n");
    await until(() => /State:\s+S/.test(readFileSync(`/proc/${program}/status`, "utf8")), "the program to go on");
    second.type("c");
    await second.shows(/\[c\]/);
    second.type("q");
    await second.shows(/\[bye\]/);
    second.type("echo status $?\n");
    await second.shows(/status 33/);
    assert.ok(!existsSync(`/proc/${program}`), "the program has ended and nobody waited for it");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
