/**
 * Nothing of a connection may pass while its socket is away: an answer from the kernel would be a reset. Tables of
 * nftables hold the drop rules (nft(8)): one for the time of the freeze, whose entries expire by themselves, and one that
 * stays beyond the end of the processes, which the thaw takes away. A guard takes both away at once if kmonte is killed
 * before that end, so that the connections live on.
 */
import type { ThawContext } from "../../thaw-context.ts";
import { Memo } from "../../memo.ts";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { OWN_VIEW } from "../../../sys/mount-view.ts";
import { existsSync, readlinkSync } from "../../../sys/files.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { failures } from "../../../errors/catalogue.ts";
import { makePipe } from "../../pipe/data.ts";
import { LONGEST_FREEZE_S, rules, type Flow, type QuarantineScope } from "./rules.ts";

let count = 0;

const PLACES = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];

export function nftIsThere(): boolean {
  return PLACES.some((path) => existsSync(OWN_VIEW.at(path)));
}

function nftPath(): string {
  return PLACES.find((path) => existsSync(OWN_VIEW.at(path))) ?? "nft";
}

/** Runs nft; it holds `lent` for as long as it works, even when we are killed meanwhile. */
function nft(commands: string, lent?: LocalFd): string {
  const stdio = ["pipe", "pipe", "pipe", ...(lent === undefined ? [] : [lent])] as const;
  try {
    return execFileSync(nftPath(), ["-f", "-"], { input: commands, encoding: "utf8", stdio: [...stdio] });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw failures.FIREWALL({ said: stderr?.trim() ?? String(cause), cause });
  }
}

/** Silence for a moment; returns the table to remove. */
export function quarantineFor(flows: readonly Flow[]): string | undefined {
  if (!nftIsThere()) return undefined;
  count += 1;
  const table = nameOfTable();
  nft(rules(table, { flows, ports: [] }, "freeze"));
  return table;
}

/** Names the process, the pid namespace that it is to be looked for in, and our thread: each may hold a set of its own. */
function nameOfTable(): string {
  return `kmonte-${pidNamespace()}-${process.pid}-${threadId}-${count}`;
}

/** The inode of our pid namespace (namespaces(7)). */
function pidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

/** Rules for as long as the sockets are away. */
function keepLasting(table: string, quiet: QuarantineScope, guard: LocalFd): void {
  try {
    nft(rules(table, quiet, "gap"), guard);
  } catch (error) {
    if (quiet.ports.length === 0) throw error;
    nft(rules(table, quiet, "plain"), guard);
  }
}

/** Whether they are there or not, and in one go: the kernel takes its time for each. */
export function removeTable(...tables: readonly string[]): void {
  nft(tables.map((table) => `add table inet ${table}\ndelete table inet ${table}\n`).join(""));
}

const ended = new Memo(() => new Set<string>());

/** The thaw's part: takes a table away, once however many connections it stands for. */
export function endLasting(context: ThawContext, table: string): void {
  const done = context.memo(ended);
  if (done.has(table) || !nftIsThere()) return;
  done.add(table);
  removeTable(table);
}

const OF_FREEZE = /^table inet (kmonte-(\d+)-(\d+)-\d+-\d+)$/gm;

/** Tables of runs that were killed; those of other pid namespaces are not ours to tell. */
function removeLeftovers(): void {
  const own = pidNamespace();
  for (const [, table = "", namespace, pid = ""] of nft("list tables inet\n").matchAll(OF_FREEZE)) {
    if (namespace === own && !existsSync(`/proc/${pid}`)) removeTable(table);
  }
}

/**
 * A shell that waits for a line; should all who could write one end without it, us and an nft of ours, it takes the
 * tables away. Returns where the line is to be written.
 */
function startGuard(tables: readonly string[]): LocalFd {
  const [read, write] = makePipe(0);
  const commands = tables.map((table) => `${nftPath()} delete table inet ${table} 2>/dev/null`).join("; ");
  // Detached: what ends kmonte, such as ^C at the terminal, must not end the guard.
  spawn("/bin/sh", ["-c", `read word || { ${commands}; }`], {
    stdio: [read, "ignore", "ignore"],
    detached: true,
  }).unref();
  closeSync(read);
  return write;
}

/** Silence for the time of a freeze. */
export class Quarantine {
  /** The table that stays when the processes have ended. */
  readonly lasting: string;
  readonly #table: string;
  readonly #quiet: QuarantineScope;
  readonly #since = Date.now();
  #ended = false;
  /** A line here tells the guard that the processes have ended, or that the tables are gone. */
  readonly guard: LocalFd;

  constructor(quiet: QuarantineScope) {
    removeLeftovers();
    count += 1;
    this.#table = nameOfTable();
    this.lasting = `kmonte-gone-${process.pid}-${threadId}-${Date.now()}-${count}`;
    this.#quiet = quiet;
    this.guard = startGuard([this.#table, this.lasting]);
    nft(rules(this.#table, quiet, "freeze"), this.guard);
  }

  /** Keeps the silence beyond the end of the processes. */
  makeLasting(): void {
    if (Date.now() - this.#since > (LONGEST_FREEZE_S - 30) * 1000) {
      throw failures.FREEZE_TOO_LONG({ seconds: LONGEST_FREEZE_S });
    }
    // Both for a moment: a table takes longer to go than to come, and the processes are waited for.
    keepLasting(this.lasting, this.#quiet, this.guard);
  }

  /** The processes have ended, and the guard knows: from now on only the thaw ends the silence. */
  handOver(): void {
    closeSync(this.guard);
    removeTable(this.#table);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    removeTable(this.lasting, this.#table);
    writeSync(this.guard, "done\n");
    closeSync(this.guard);
  }
}
