/** The notes of a core file: registers by thread, the process, its files (core(5), elf(5), include/uapi/linux/elfcore.h). */
import { SIGINFO_SIZE } from "../../abi/signal.ts";
import { NT } from "../../abi/ptrace.ts";
import { type RegisterName, Registers } from "../../abi/registers.x86_64.ts";

interface CoreThread {
  readonly tid: number;
  readonly registers: Readonly<Record<RegisterName, string>>;
  readonly xstate: Buffer;
  readonly blocked: bigint;
}

export interface CoreProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly uid: number;
  readonly gid: number;
  readonly command: string;
  readonly commandLine: string;
  readonly auxv: Buffer;
  /** File mappings: addresses and offset in bytes. */
  readonly files: readonly {
    readonly start: number;
    readonly end: number;
    readonly offset: number;
    readonly path: string;
  }[];
  /** The main thread first. */
  readonly threads: readonly CoreThread[];
}

const PRSTATUS_SIZE = 336;
const PRPSINFO_SIZE = 136;
const FXSAVE_SIZE = 512;
const PAGE = 4096;

function note(type: number, data: Buffer, owner = "CORE"): Buffer {
  const name = Buffer.from(`${owner}\0`);
  const header = Buffer.alloc(12);
  header.writeUInt32LE(name.length, 0);
  header.writeUInt32LE(data.length, 4);
  header.writeUInt32LE(type, 8);
  return Buffer.concat([header, padded(name), padded(data)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

/** struct elf_prstatus. */
function prstatus(process: CoreProcess, thread: CoreThread): Buffer {
  const bytes = Buffer.alloc(PRSTATUS_SIZE);
  bytes.writeBigUInt64LE(thread.blocked, 24);
  [thread.tid, process.ppid, process.pgid, process.sid].forEach((id, i) => bytes.writeInt32LE(id, 32 + i * 4));
  Registers.fromJSON(thread.registers).bytes.copy(bytes, 112);
  bytes.writeInt32LE(1, 328);
  return bytes;
}

/** struct elf_prpsinfo. */
function prpsinfo(process: CoreProcess): Buffer {
  const bytes = Buffer.alloc(PRPSINFO_SIZE);
  bytes.write("R", 1, "latin1");
  [process.uid, process.gid, process.pid, process.ppid, process.pgid, process.sid].forEach((id, i) =>
    bytes.writeUInt32LE(id >>> 0, 16 + i * 4),
  );
  bytes.write(process.command.slice(0, 15), 40, "utf8");
  bytes.write(process.commandLine.slice(0, 79), 56, "utf8");
  return bytes;
}

/** NT_FILE: count, page size, then start, end and page offset of each, then the names. */
function fileNote(files: CoreProcess["files"]): Buffer {
  const head = Buffer.alloc(16 + files.length * 24);
  head.writeBigUInt64LE(BigInt(files.length), 0);
  head.writeBigUInt64LE(BigInt(PAGE), 8);
  files.forEach(({ start, end, offset }, i) => {
    [start, end, offset / PAGE].forEach((word, j) => head.writeBigUInt64LE(BigInt(word), 16 + i * 24 + j * 8));
  });
  return Buffer.concat([head, ...files.map((file) => Buffer.from(`${file.path}\0`))]);
}

/** All notes, in the order in which the kernel writes them. */
export function buildNotes(process: CoreProcess): Buffer {
  return Buffer.concat(
    process.threads.flatMap((thread, index) => [
      note(NT.PRSTATUS, prstatus(process, thread)),
      ...(index === 0
        ? [
            note(NT.PRPSINFO, prpsinfo(process)),
            note(NT.SIGINFO, Buffer.alloc(SIGINFO_SIZE)),
            note(NT.AUXV, process.auxv),
            note(NT.FILE, fileNote(process.files)),
          ]
        : []),
      note(NT.FPREGSET, thread.xstate.subarray(0, FXSAVE_SIZE)),
      note(NT.X86_XSTATE, thread.xstate, "LINUX"),
    ]),
  );
}
