/** Clients outside of a machine of namespaces, each a program of its own that keeps its connection and is asked line by line. */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { NamespaceMachine } from "../../lab/namespace-machine.ts";

/** How long an answer may take, in milliseconds: a connection may have to send again first. */
const ANSWER_MS = 60_000;

/** For python3 -c, with a host and a port: sends each line of its input, and answers with the line that came back. */
export const LINE_CLIENT = `import socket, sys
lines = socket.create_connection((sys.argv[1], int(sys.argv[2]))).makefile("rw")
for line in sys.stdin:
    lines.write(line)
    lines.flush()
    print(lines.readline().strip(), flush=True)`;

export class Conversation implements Disposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #command: string;
  #errors = "";

  constructor(machine: NamespaceMachine, command: string, ...args: string[]) {
    this.#command = [command, ...args].join(" ").slice(0, 100);
    const [tool, all] = machine.network.inside(command, ...args);
    this.#child = spawn(tool, all, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", (text: Buffer) => (this.#errors += text.toString()));
    this.#child.stdin.on("error", () => {});
    this.#reader = createInterface(this.#child.stdout);
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Sends a line and gives the next one that comes. */
  async ask(line: string): Promise<string> {
    this.#child.stdin.write(`${line}\n`);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.#command} did not answer: ${line}`)), ANSWER_MS);
    });
    const { value, done } = await Promise.race([this.#lines.next(), late]).finally(() => clearTimeout(timer));
    assert.ok(!done, `${this.#command} ended at "${line}": ${this.#errors}`);
    return value as string;
  }

  [Symbol.dispose](): void {
    this.#reader.close();
    this.#child.kill("SIGKILL");
  }
}
