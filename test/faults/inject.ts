/**
 * Loaded before kmonte's own modules (`node --import`), this counts everything that the engine asks of the kernel, and
 * lets one of these steps fail, or something else happen at it. Nothing of it is in kmonte itself: the ways in that it
 * stands in are the foreign function library, through which all raw system calls go, and node:fs.
 *
 * KMONTE_FAULT says what: `count:FILE` appends the name of each step to the file; `fail:N:ERRNO:NAME` lets the Nth
 * step of that name answer with the error; `kill:N:SIGNAL:NAME` sends kmonte a signal there; `end:N:PID:NAME` ends
 * another process there. With KMONTE_FAULT_AFTER=PID, steps count from the first that traces this process on.
 * KMONTE_FAULT_HIT names a file that is made when the step was reached.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { constants } from "node:os";
import { isMainThread, workerData } from "node:worker_threads";
import koffi from "koffi";
import { SYS } from "../../src/abi/syscalls.x86_64.ts";
import { PTRACE } from "../../src/abi/ptrace.ts";

type Fault =
  | { readonly kind: "count"; readonly file: string }
  | { readonly kind: "fail" | "kill" | "end"; readonly nth: number; readonly value: string; readonly name: string };

function parse(text: string): Fault {
  const [kind = "", first = "", value = "", ...name] = text.split(":");
  if (kind === "count") return { kind, file: [first, value, ...name].filter(Boolean).join(":") };
  if (kind === "fail" || kind === "kill" || kind === "end")
    return { kind, nth: Number(first), value, name: name.join(":") };
  throw new Error(`KMONTE_FAULT is ${text}`);
}

const plan = process.env["KMONTE_FAULT"];
// Only an engine does anything to other processes: on a thread of its own, or on the one thread of the command.
const hasEngine = isMainThread
  ? process.argv[1]?.endsWith("/src/cli/main.ts") === true
  : (workerData as { abort?: unknown } | null)?.abort !== undefined;
if (plan !== undefined && hasEngine) install(parse(plan));

function install(fault: Fault): void {
  const real = { ...fs };
  const list = fault.kind === "count" ? real.openSync(fault.file, "a") : -1;
  const names = new Map<number, string>(Object.entries(SYS).map(([name, nr]) => [nr, name]));
  const requests = new Map<number, string>(Object.entries(PTRACE).map(([name, nr]) => [nr, name]));
  const seen = new Map<string, number>();
  const after = Number(process.env["KMONTE_FAULT_AFTER"] ?? 0);
  let begun = after === 0;
  const errno = (name: string): number => constants.errno[name as keyof typeof constants.errno];

  /** Counts the step; the negated errno with which it shall fail, if it shall. */
  function step(name: string): number | undefined {
    if (!begun) return undefined;
    if (fault.kind === "count") {
      real.writeSync(list, `${name}\n`);
      return undefined;
    }
    if (name !== fault.name) return undefined;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    if (nth !== fault.nth) return undefined;
    const hit = process.env["KMONTE_FAULT_HIT"];
    if (hit !== undefined) real.closeSync(real.openSync(hit, "w"));
    if (process.env["KMONTE_FAULT_TRACE"]) real.writeSync(2, `${new Error(name).stack}\n`);
    if (fault.kind === "fail") return -errno(fault.value);
    process.kill(
      fault.kind === "end" ? Number(fault.value) : process.pid,
      fault.kind === "end" ? "SIGKILL" : fault.value,
    );
    return undefined;
  }

  const library = koffi as unknown as {
    proto: (signature: string) => unknown;
    decode: (...args: unknown[]) => unknown;
  };
  let rawType: unknown;
  const { proto, decode } = library;
  library.proto = (signature) => {
    const type = proto.call(koffi, signature);
    if (signature.includes(" raw_syscall(")) rawType = type;
    return type;
  };
  library.decode = (...args) => {
    const value = decode.apply(koffi, args);
    return args[1] === rawType ? wrapRaw(value as (...numbers: number[]) => number) : value;
  };

  /** Calls inside tracees that will be made at the next resume, and answers that will be changed when they are read. */
  const failing = new Map<number, number>();
  const rows: { tid: number; at: number; error: number }[] = [];
  const memoryOf = new Map<number, number>();
  const writtenPages = new Set<string>();

  function wrapRaw(raw: (...numbers: number[]) => number): (...numbers: number[]) => number {
    return (nr, ...args) => {
      const name = names.get(nr) ?? String(nr);
      const request = name === "ptrace" ? requests.get(args[0] ?? -1) : undefined;
      begun ||= request === "SEIZE" && args[1] === after;
      if (request === "SETREGS") noteRemote(args[1] ?? 0, args[3] ?? 0);
      const failure = step(request ? `own ptrace ${request}` : `own ${name}`);
      if (failure !== undefined) return failure;
      const result = raw(nr, ...args);
      if (request === "GETREGS" && failing.has(args[1] ?? 0)) answerRemote(args[1] ?? 0, args[3] ?? 0);
      return result;
    };
  }

  const bytesAt = (address: number, size: number): Buffer => Buffer.from(koffi.view(BigInt(address), size));
  const NO_SUCH_CALL = 0xffff;
  const ENOSYS = -38;

  /** Registers are about to be set so that the tracee makes calls for us: they are steps, too. */
  function noteRemote(tid: number, address: number): void {
    const registers = bytesAt(address, 216);
    const rip = Number(registers.readBigUInt64LE(128));
    const code = readTracee(tid, rip, 7);
    if (code.toString("hex") === "488b03488b7b08") {
      const table = Number(registers.readBigUInt64LE(40));
      const count = Number(registers.readBigUInt64LE(32));
      const bytes = readTracee(tid, table, count * 64);
      for (let row = 0; row < count; row += 1) {
        const name = names.get(Number(bytes.readBigUInt64LE(row * 64))) ?? "?";
        const error = step(`remote ${name}`);
        if (error === undefined) continue;
        writeTracee(tid, table + row * 64, NO_SUCH_CALL);
        rows.push({ tid, at: table + row * 64 + 56, error });
      }
    } else if (code.subarray(0, 2).toString("hex") === "0f05" && registers.readBigInt64LE(120) === -1n) {
      const name = names.get(Number(registers.readBigUInt64LE(80)));
      const error = name === undefined ? undefined : step(`remote ${name}`);
      if (error === undefined) return;
      registers.writeBigUInt64LE(BigInt(NO_SUCH_CALL), 80);
      failing.set(tid, error);
    }
  }

  function answerRemote(tid: number, address: number): void {
    const registers = bytesAt(address, 216);
    if (Number(registers.readBigInt64LE(80)) !== ENOSYS) return;
    registers.writeBigInt64LE(BigInt(failing.get(tid) ?? 0), 80);
    failing.delete(tid);
  }

  function readTracee(tid: number, address: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const fd = real.openSync(`/proc/${tid}/mem`, "r");
    try {
      real.readSync(fd, bytes, 0, length, address);
    } catch {
      // Not mapped: not one of our places.
    } finally {
      real.closeSync(fd);
    }
    return bytes;
  }

  function writeTracee(tid: number, address: number, value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    const fd = real.openSync(`/proc/${tid}/mem`, "r+");
    real.writeSync(fd, bytes, 0, 8, address);
    real.closeSync(fd);
  }

  /** Paths without what differs between two runs. */
  const kindOf = (path: unknown): string =>
    typeof path !== "string"
      ? "a descriptor"
      : path.replace(/^\/tmp\/.*\//, "IMAGE/").replaceAll(/[0-9a-f]*\d[0-9a-f]*/g, "N");

  const failure = (error: number, call: string, path?: unknown): Error => {
    const code = Object.keys(constants.errno).find((name) => errno(name) === -error) ?? "EIO";
    return Object.assign(new Error(`${code}: injected, ${call}${typeof path === "string" ? ` '${path}'` : ""}`), {
      code,
      errno: error,
      syscall: call,
      ...(typeof path === "string" && { path }),
    });
  };

  const patched = fs as unknown as Record<string, (...args: never[]) => unknown>;
  const BY_PATH = ["readFile", "writeFile", "readdir", "readlink", "stat", "lstat", "mkdir", "mkdtemp", "rename"];
  const MORE = ["rm", "unlink", "link", "symlink", "chmod", "chown", "lchown", "utimes", "lutimes", "rmdir", "statfs"];
  for (const call of [...BY_PATH, ...MORE, "copyFile", "access", "truncate"]) {
    const name = call.endsWith("Sync") ? call : `${call}Sync`;
    const original = patched[name] as (...args: unknown[]) => unknown;
    patched[name] = (...args: unknown[]) => {
      const error = step(`fs ${call} ${kindOf(args[0])}`);
      if (error !== undefined) throw failure(error, call, args[0]);
      return original(...args);
    };
  }
  patched["openSync"] = (...args: unknown[]) => {
    const error = step(`fs open ${kindOf(args[0])}`);
    if (error !== undefined) throw failure(error, "open", args[0]);
    const fd = real.openSync(...(args as Parameters<typeof fs.openSync>));
    const memory = /^\/proc\/(\d+)\/mem$/.exec(String(args[0]));
    if (memory) memoryOf.set(fd, Number(memory[1]));
    else memoryOf.delete(fd);
    return fd;
  };
  patched["closeSync"] = (...args: unknown[]) => {
    memoryOf.delete(args[0] as number);
    return real.closeSync(args[0] as number);
  };
  patched["fsyncSync"] = (...args: unknown[]) => {
    const error = step("fs fsync");
    if (error !== undefined) throw failure(error, "fsync");
    return real.fsyncSync(args[0] as number);
  };
  patched["ftruncateSync"] = (...args: unknown[]) => {
    const error = step("fs ftruncate");
    if (error !== undefined) throw failure(error, "ftruncate");
    return real.ftruncateSync(args[0] as number, args[1] as number);
  };
  patched["writeSync"] = (...args: unknown[]) => {
    const [fd, , , length, position] = args as [number, Buffer, number, number, number];
    const pid = memoryOf.get(fd);
    if (pid === undefined) {
      const error = step("fs write");
      if (error !== undefined) throw failure(error, "write");
    } else {
      // A page of a tracee that could be written once can be written again: no memory is needed for it.
      const pages = [position, position + length - 1].map((at) => `${pid} ${Math.floor(at / 4096)}`);
      if (!pages.every((page) => writtenPages.has(page))) {
        const error = step("fs write /proc/N/mem");
        if (error !== undefined) throw failure(error, "write");
      }
      for (const page of pages) writtenPages.add(page);
    }
    return (real.writeSync as (...all: unknown[]) => number)(...args);
  };
  patched["readSync"] = (...args: unknown[]) => {
    const [fd, bytes, offset = 0, length = 0, position] = args as [number, Buffer, number?, number?, number?];
    const pid = memoryOf.get(fd);
    const error = step(pid === undefined ? "fs read" : "fs read /proc/N/mem");
    if (error !== undefined) throw failure(error, "read");
    const got = (real.readSync as (...all: unknown[]) => number)(...args);
    for (let i = rows.length - 1; i >= 0; i -= 1) {
      const row = rows[i];
      if (!row || pid === undefined || position === undefined || row.at < position || row.at + 8 > position + length)
        continue;
      const at = offset + (row.at - position);
      if (Number(bytes.readBigInt64LE(at)) !== ENOSYS) continue;
      bytes.writeBigInt64LE(BigInt(row.error), at);
      rows.splice(i, 1);
    }
    return got;
  };
  syncBuiltinESMExports();
}
