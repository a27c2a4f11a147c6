/** Where a thread stands: its registers, its vector state, the call it was in, the signals it blocks (ptrace(2)). */
import * as v from 'valibot';
import { RESTART } from '../../abi/errno.ts';
import { NT } from '../../abi/ptrace.ts';
import { REGISTER_NAMES, Registers, USER_CS_64, type RegisterName } from '../../abi/registers.x86_64.ts';
import { maskOfSignals, signalsInMask } from '../../abi/signal.ts';
import { Refusal } from '../../lib/errors.ts';
import { hexSchema } from '../../lib/hex.ts';
import { getXstate, setRegisters, setRegisterSet, setSignalMask } from '../../tracee/ptrace.ts';
import type { ThreadResource } from '../contract.ts';

const schema = v.strictObject({
  general: v.strictObject(
    Object.fromEntries(REGISTER_NAMES.map((name) => [name, hexSchema])) as Record<RegisterName, typeof hexSchema>,
  ),
  /** The XSAVE area in standard form, base64; features are named by its own header (Intel SDM 1, chapter 13). */
  xstate: v.string(),
  blocked: v.array(v.string()),
});

export const execution: ThreadResource<v.InferOutput<typeof schema>> = {
  name: 'execution',
  schema,
  freeze({ tid, process, scope }) {
    const general = scope.registers;
    if (general.getInt('cs') !== USER_CS_64) {
      throw new Refusal(
        'COMPAT_TASK',
        {
          what: `Process ${process.pid} (${process.command}) runs 32-bit code.`,
          why: `Thread ${tid} has the code segment 0x${general.getInt('cs').toString(16)}.`,
          remedy: 'Use the 64-bit build of the program.',
        },
        { pid: process.pid, tid, command: process.command },
      );
    }
    return { general: general.toJSON(), xstate: getXstate(tid).toString('base64'), blocked: signalsInMask(scope.blocked) };
  },
  /** The very last: every remote call uses the registers, and runs with all signals blocked. */
  thaw({ tid }, state) {
    setRegisterSet(tid, NT.X86_XSTATE, Buffer.from(state.xstate, 'base64'));
    setRegisters(tid, resumable(Registers.fromJSON(state.general)));
    setSignalMask(tid, maskOfSignals(state.blocked));
  },
};

/**
 * A fresh kernel has no restart block of the thread's: what would have gone on through restart_syscall is made again
 * with its own arguments. The other restart codes mean the same to every kernel and stay for it to act upon.
 */
function resumable(general: Registers): Registers {
  if (general.getInt('orig_rax') < 0 || general.getInt('rax') !== -RESTART.ERESTART_RESTARTBLOCK) return general;
  return general.clone().set('rax', -RESTART.ERESTARTNOINTR);
}
