/**
 * Nothing of a connection may pass while its socket is away: an answer from the kernel would be a reset. Tables of
 * nftables hold the drop rules (nft(8)): one for the time of the freeze, whose entries expire by themselves, and one that
 * stays beyond the end of the processes, which the thaw takes away. A guard takes both away at once if kmonte is killed
 * before that end, so that the connections live on.
 */
import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, writeSync } from "node:fs";
import { KmonteError } from "../../../lib/errors.ts";
import { makePipe } from "../../objects/pipe-data.ts";
import { LONGEST_FREEZE_S, rules, type Flow, type Quiet } from "./silence-rules.ts";

let count = 0;

const PLACES = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

export function nftIsThere(): boolean {
  return PLACES.some((path) => existsSync(path));
}

function nftPath(): string {
  return PLACES.find((path) => existsSync(path)) ?? "nft";
}

function nft(commands: string): string {
  try {
    return execFileSync(nftPath(), ["-f", "-"], { input: commands, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new KmonteError(
      "FIREWALL",
      { what: "Packets of a connection could not be held back.", why: `nft said: ${stderr?.trim() ?? String(cause)}.` },
      { cause },
    );
  }
}

/** Silence for a moment; returns the table to remove. */
export function silenceFor(flows: readonly Flow[]): string | undefined {
  if (!nftIsThere()) return undefined;
  count += 1;
  const table = `kmonte-${process.pid}-${count}`;
  nft(rules(table, { flows, ports: [] }, "freeze"));
  return table;
}

/** Rules for as long as the sockets are away. */
function keepLasting(table: string, quiet: Quiet): void {
  try {
    nft(rules(table, quiet, "gap"));
  } catch (error) {
    if (quiet.ports.length === 0) throw error;
    nft(rules(table, quiet, "plain"));
  }
}

/** Whether they are there or not, and in one go: the kernel takes its time for each. */
export function removeTable(...tables: readonly string[]): void {
  nft(tables.map((table) => `add table inet ${table}\ndelete table inet ${table}\n`).join(""));
}

const ended = new WeakMap<object, Set<string>>();

/** The thaw's part: takes a table away, once however many connections it stands for. */
export function endLasting(context: object, table: string): void {
  const done = ended.get(context) ?? new Set();
  ended.set(context, done);
  if (done.has(table) || !nftIsThere()) return;
  done.add(table);
  removeTable(table);
}

/** Tables of runs that were killed. */
export function removeLeftovers(): void {
  for (const [, table = "", pid = ""] of nft("list tables inet\n").matchAll(/^table inet (kmonte-(\d+)-\d+)$/gm)) {
    if (!existsSync(`/proc/${pid}`)) removeTable(table);
  }
}

/** A shell that waits for a word from us; should we die without one, it takes the tables away. Returns how to say it. */
function startGuard(tables: readonly string[]): () => void {
  const [read, write] = makePipe(0);
  const commands = tables.map((table) => `${nftPath()} delete table inet ${table} 2>/dev/null`).join("; ");
  // Detached: what ends kmonte, such as ^C at the terminal, must not end the guard.
  spawn("/bin/sh", ["-c", `read word || { ${commands}; }`], {
    stdio: [read, "ignore", "ignore"],
    detached: true,
  }).unref();
  closeSync(read);
  let told = false;
  return () => {
    if (told) return;
    told = true;
    writeSync(write, "done\n");
    closeSync(write);
  };
}

/** Silence for the time of a freeze. */
export class Silence {
  /** The table that stays when the processes have ended. */
  readonly lasting: string;
  readonly #table: string;
  readonly #quiet: Quiet;
  readonly #since = Date.now();
  readonly #dismissGuard: () => void;

  constructor(quiet: Quiet) {
    removeLeftovers();
    count += 1;
    this.#table = `kmonte-${process.pid}-${count}`;
    this.lasting = `kmonte-gone-${process.pid}-${Date.now()}-${count}`;
    this.#quiet = quiet;
    this.#dismissGuard = startGuard([this.#table, this.lasting]);
    nft(rules(this.#table, quiet, "freeze"));
  }

  /** Keeps the silence beyond the end of the processes. */
  makeLasting(): void {
    if (Date.now() - this.#since > (LONGEST_FREEZE_S - 30) * 1000) {
      throw new KmonteError("FREEZE_TOO_LONG", {
        what: "The freeze took too long for its connections; the processes go on as they were.",
        why: `Packets were held back for ${LONGEST_FREEZE_S} seconds.`,
        remedy: "Write the image to a faster place.",
      });
    }
    // Both for a moment: a table takes longer to go than to come, and the processes are waited for.
    keepLasting(this.lasting, this.#quiet);
  }

  /** The processes have ended: from now on only the thaw ends the silence. */
  handOver(): void {
    this.#dismissGuard();
    removeTable(this.#table);
  }

  end(): void {
    removeTable(this.lasting, this.#table);
    this.#dismissGuard();
  }
}
