/** Changes the guest's kernel with the command that a user types on a real host, and waits until all runs again. */
import { KmonteError } from "../src/errors/failure.ts";
import type { SwapReport } from "../src/swap/report.ts";
import { THAW_UNIT } from "../src/swap/unit.ts";
import type { Answer } from "./channel.ts";
import type { Machine } from "./machine.ts";

export interface GuestSwapOptions {
  readonly to: string;
  /** Processes that go along beside the protected units. */
  readonly pids?: readonly number[];
  /** What begins it, instead of the command that a person types. */
  readonly begin?: readonly string[];
  /** Told each line that kmonte writes. */
  readonly onLine?: (line: string) => void;
}

/** The command as a person would type it. */
export function swapCommand(to: string, pids: readonly number[] = []): string[] {
  return ["kmonte", "swap", "--yes", "--to", to, ...pids.flatMap((pid) => ["--pid", String(pid)])];
}

export async function swapInGuest(machine: Machine, options: GuestSwapOptions): Promise<SwapReport> {
  const earlier = machine.boots.length;
  const onLine = options.onLine ?? (() => {});
  const command = machine.run(options.begin ?? swapCommand(options.to, options.pids), (_, chunk) => {
    for (const line of chunk.toString().split(/[\r\n]+/)) if (line.trim()) onLine(line.trim());
  });
  // It answers only when it does not work: otherwise its kernel ends before it.
  const refused = command.then(notSwapped, () => new Promise<never>(() => {}));
  await Promise.race([machine.waitForKernel(options.to, earlier), refused]);
  // The boot goes on while those wait for the network that have connections. It has the processor first.
  await machine.output(["sh", "-c", `while systemctl -q is-active ${THAW_UNIT}; do sleep 3; done`]);
  // The last thing that a boot does is to give systemd its units back; a unit that failed is for whoever looks at them.
  await machine.output(["sh", "-c", "systemctl is-system-running --wait >/dev/null || true"]);
  const report = JSON.parse(await machine.output(["kmonte", "report", "--json"])) as SwapReport;
  if (report.state === "done") return report;
  const text = report.failure ?? { what: "The new kernel runs, but the processes do not.", code: "LAB_NOT_THAWED" };
  const journal = await machine.output(["journalctl", "-b", "--no-pager", "-o", "cat", "-u", "kmonte-thaw.service"]);
  throw new KmonteError(text.code, { ...text, why: [text.why, journal.trim()].filter(Boolean).join("\n") });
}

function notSwapped(answer: Answer): never {
  throw new KmonteError("LAB_NOT_SWAPPED", {
    what: `kmonte swap ended in the guest with status ${answer.code}.`,
    why: (answer.stderr.toString() + answer.stdout.toString()).trim(),
  });
}
