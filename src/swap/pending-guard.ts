/**
 * A mark that says "thaw this at the next boot" is true only if this kernel really ends here. Should kmonte be killed
 * between the mark and the kexec, the processes go on, and an ordinary restart days later would bring their past back.
 * So a shell waits for our end and then takes the swap back, the mark first; with the kernel's end it ends, too.
 */
import { AtOurEnd } from "../units/run-at-exit.ts";
import { OPEN_JOURNAL } from "./journal.ts";

const SCRIPT = `mark=$1 directory=$2 disks=$3; shift 3
while [ "$disks" -gt 0 ]; do mount -o remount,rw "$1"; shift; disks=$((disks - 1)); done
rm -f "$mark"; sync "$directory"; rm -rf "$directory"
journalctl ${OPEN_JOURNAL}
[ $# = 0 ] && exit
for file; do rm -f "$file"; rmdir --ignore-fail-on-non-empty "\${file%/*}"; done
systemctl daemon-reload`;

export interface Unless {
  /** Mount points that may have become read-only by then. */
  readonly disks?: readonly string[];
  /** Files of the next boot that are to be gone then, such as drop-ins of units. */
  readonly files?: readonly string[];
}

/** Waits at our end with what is to be taken back. */
export function guardPending(mark: string, directory: string, { disks = [], files = [] }: Unless = {}): AtOurEnd {
  return new AtOurEnd(SCRIPT, [mark, directory, String(disks.length), ...disks, ...files]);
}
