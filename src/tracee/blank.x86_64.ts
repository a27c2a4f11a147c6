/**
 * A process with nothing in it but the kernel's vDSO and a few pages of ours, in which a frozen process is built.
 */
import { readFileSync } from "node:fs";
import { attempt } from "../sys/call.ts";
import { PTRACE_O } from "../abi/ptrace.ts";
import { SIGNAL } from "../abi/signal.ts";
import { failures } from "../errors/catalogue.ts";
import { remoteAddress, type RemoteAddress } from "../lib/brand.ts";
import { interrupt, trySeize } from "./ptrace.ts";
import { LOOP_CODE } from "./call-table.x86_64.ts";
import { waitForStop } from "./stops.ts";
import { buildProgram, headerBytes, PF_R, PF_W, PF_X, startProgram } from "./tiny-program.x86_64.ts";

const PAGE = 4096;
/** Bytes of ELF headers before the code. */
const PROGRAM_HEADERS = headerBytes(2);

/** The pages of ours in a blank process: one of code, the rest for arguments and results. */
export interface CallArea {
  /** `syscall; int3`. */
  readonly single: RemoteAddress;
  /** Runs a table of calls; rbx points at it, ebp counts it. Ends at an int3. */
  readonly loop: RemoteAddress;
  /** Uses a tile of AMX as the configuration at rbx has it. Ends at an int3. */
  readonly tile: RemoteAddress;
  readonly data: RemoteAddress;
  readonly dataSize: number;
  readonly start: RemoteAddress;
  readonly end: RemoteAddress;
}

export const CALL_AREA_SIZE = 8 * PAGE;

/** Ends by itself after a minute if no one takes it over, then sleeps. */
const WAIT_CODE = [
  ...[0xbf, 0x3c, 0, 0, 0, 0xb8, 0x25, 0, 0, 0, 0x0f, 0x05], // alarm(60)
  ...[0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7], // pause() for ever
];
const INT3 = 0xcc;
const SINGLE_CODE = [0x0f, 0x05, INT3];
const TILE_CODE = [
  ...[0xc4, 0xe2, 0x78, 0x49, 0x03], // ldtilecfg [rbx]
  ...[0xc4, 0xe2, 0x7b, 0x49, 0xc0], // tilezero tmm0
  INT3,
];
export function callAreaAt(start: number): CallArea {
  const code = start + PROGRAM_HEADERS + WAIT_CODE.length;
  return {
    start: remoteAddress(start),
    end: remoteAddress(start + CALL_AREA_SIZE),
    single: remoteAddress(code),
    loop: remoteAddress(code + SINGLE_CODE.length),
    tile: remoteAddress(code + SINGLE_CODE.length + LOOP_CODE.length + 1),
    data: remoteAddress(start + PAGE),
    dataSize: CALL_AREA_SIZE - PAGE,
  };
}

/** A static program whose only segments are the call area, at its final address. */
function buildBlank(start: number): Buffer {
  const code = Buffer.from([...WAIT_CODE, ...SINGLE_CODE, ...LOOP_CODE, INT3, ...TILE_CODE]);
  return buildProgram(start, code, [
    { flags: PF_R | PF_X, address: start, fileSize: PROGRAM_HEADERS + code.length },
    { flags: PF_R | PF_W, address: start + PAGE, fileSize: 0, memorySize: CALL_AREA_SIZE - PAGE },
  ]);
}

/** What every process that is being built is traced with: should kmonte die, it dies too. */
export const BUILD_OPTIONS =
  PTRACE_O.EXITKILL | PTRACE_O.TRACESYSGOOD | PTRACE_O.TRACEFORK | PTRACE_O.TRACEVFORK | PTRACE_O.TRACECLONE;

/** Starts a blank process, traced and stopped, with its call area at `start`. Returns its pid; the caller ends it. */
export function spawnBlank(start: number): number {
  // It may not be traced yet when kmonte dies.
  const pid = startProgram(buildBlank(start), SIGNAL.SIGKILL);
  if (pid < 0) throw failures.BLANK_FAILED.notMade();
  const seized = trySeize(pid, BUILD_OPTIONS);
  if (seized < 0) {
    attempt("kill", pid, 9);
    attempt("wait4", pid, 0, 0, 0);
    throw failures.BLANK_FAILED.notStarted({ command: readComm(pid) });
  }
  interrupt(pid);
  waitForStop(pid);
  return pid;
}

function readComm(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "it has ended";
  }
}
