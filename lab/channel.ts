/** The host's end of the control port: requests to the agent in the guest, one JSON object per line. */
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError } from "../src/errors/failure.ts";

/** What the agent says when it has started: each kernel that the guest runs says it anew. */
export interface Hello {
  readonly release: string;
  readonly boot: string;
  /** When it arrived, by this machine's clock. */
  readonly at: number;
}

export interface Answer {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Of a program that was started and left alone. */
  readonly pid: number | undefined;
}

export type OutputListener = (stream: "stdout" | "stderr", chunk: Buffer) => void;

interface Message {
  readonly id?: number;
  readonly hello?: { release: string; boot: string };
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
  readonly pid?: number;
  readonly error?: string;
}

interface Pending {
  readonly stdout: Buffer[];
  readonly stderr: Buffer[];
  readonly onOutput: OutputListener | undefined;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** The guest started another kernel while a command was running in it: no answer will come. */
export class GuestRestarted extends KmonteError {
  constructor() {
    super("LAB_GUEST_RESTARTED", {
      what: "The guest started another kernel while a command was running in it.",
      why: "A command that is not frozen ends with its kernel.",
    });
  }
}

export class Channel implements Disposable {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #onHello: (hello: Hello) => void;
  #next = 1;
  #partial = "";

  private constructor(socket: Socket, onHello: (hello: Hello) => void) {
    this.#socket = socket;
    this.#onHello = onHello;
    socket.setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    socket.on("error", () => this.#rejectAll());
    socket.on("close", () => this.#rejectAll());
  }

  /** Connects to the port's socket, which QEMU makes as it starts. */
  static async open(path: string, onHello: (hello: Hello) => void, timeoutMs = 10_000): Promise<Channel> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const socket = connect(path);
      const error = await new Promise<Error | undefined>((resolve) => {
        socket.once("connect", () => resolve(undefined));
        socket.once("error", resolve);
      });
      if (!error) return new Channel(socket, onHello);
      if (Date.now() > end) throw error;
      await delay(50);
    }
  }

  request(message: Readonly<Record<string, unknown>>, onOutput?: OutputListener): Promise<Answer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { stdout: [], stderr: [], onOutput, resolve, reject });
      this.#socket.write(`${JSON.stringify({ id, ...message })}\n`);
    });
  }

  #receive(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      const message = parse(line);
      if (message?.hello) this.#greet(message.hello);
      else if (message?.id !== undefined) this.#answer(message.id, message);
    }
  }

  #greet(hello: { release: string; boot: string }): void {
    this.#rejectAll();
    this.#onHello({ ...hello, at: Date.now() });
  }

  #answer(id: number, message: Message): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    for (const stream of ["stdout", "stderr"] as const) {
      const data = message[stream];
      if (data === undefined) continue;
      const chunk = Buffer.from(data, "base64");
      pending[stream].push(chunk);
      pending.onOutput?.(stream, chunk);
    }
    if (message.code === undefined) return;
    this.#pending.delete(id);
    if (message.error === undefined) {
      pending.resolve({
        code: message.code,
        pid: message.pid,
        stdout: Buffer.concat(pending.stdout),
        stderr: Buffer.concat(pending.stderr),
      });
    } else {
      const what = "The agent in the guest could not do what it was asked.";
      pending.reject(new KmonteError("LAB_AGENT_FAILED", { what, why: message.error }));
    }
  }

  #rejectAll(): void {
    for (const pending of this.#pending.values()) pending.reject(new GuestRestarted());
    this.#pending.clear();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** A kernel that ends in the middle of a line leaves half of it behind: such a line is none. */
function parse(line: string): Message | undefined {
  const start = line.lastIndexOf('{"hello"');
  try {
    return JSON.parse(start > 0 ? line.slice(start) : line) as Message;
  } catch {
    return undefined;
  }
}
