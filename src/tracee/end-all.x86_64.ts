/**
 * Ending a whole set of processes in one step that cannot stop halfway, even if kmonte itself is killed during it: a
 * tiny program of its own sends all the signals. Before it runs, nobody has been touched; once it runs, nothing of
 * ours is needed any more.
 */
import { attempt } from "../abi/call.ts";
import { SIGNAL } from "../abi/signal.ts";
import { wait4 } from "../abi/wait.ts";
import { KmonteError } from "../lib/errors.ts";
import { buildProgram, headerBytes, PF_R, PF_X, startProgram } from "./tiny-program.x86_64.ts";

const START = 0x10_0000;

/** Sends SIGKILL to each pid of the table that follows. */
function killerCode(count: number): Buffer {
  const code = Buffer.from([
    ...[0x48, 0x8d, 0x1d, 0x25, 0, 0, 0], // lea rbx, [rip + table]
    ...[0xbd, 0, 0, 0, 0], // mov ebp, count
    ...[0x8b, 0x3b], // again: mov edi, [rbx]
    ...[0xbe, SIGNAL.SIGKILL, 0, 0, 0], // mov esi, SIGKILL
    ...[0xb8, 62, 0, 0, 0], // mov eax, kill
    ...[0x0f, 0x05],
    ...[0x48, 0x83, 0xc3, 0x04], // add rbx, 4
    ...[0xff, 0xcd], // dec ebp
    ...[0x75, 0xea], // jnz again
    ...[0x31, 0xff], // xor edi, edi
    ...[0xb8, 60, 0, 0, 0, 0x0f, 0x05], // exit
    0x90,
  ]);
  code.writeUInt32LE(count, 8);
  return code;
}

/** Kills all of them, or throws and kills none. */
export function endAll(pids: readonly number[]): void {
  const table = Buffer.alloc(pids.length * 4);
  pids.forEach((pid, i) => table.writeInt32LE(pid, i * 4));
  const code = Buffer.concat([killerCode(pids.length), table]);
  const size = headerBytes(1) + code.length;
  const pid = startProgram(buildProgram(START, code, [{ flags: PF_R | PF_X, address: START, fileSize: size }]));
  const status = pid > 0 ? wait4(pid, 0) : undefined;
  if (typeof status === "object" && status.state === "exited" && status.code === 0) return;
  // Where programs cannot be run from memory, the signals are sent one by one.
  if (typeof status === "object" && status.state === "exited" && status.code === 127) {
    for (const target of pids) attempt("kill", target, SIGNAL.SIGKILL);
    return;
  }
  throw new KmonteError("END_FAILED", {
    what: "The frozen processes could not be ended.",
    why: "The small program that ends them did not run.",
    remedy: "End them by hand before the thaw.",
  });
}
