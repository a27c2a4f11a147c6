/** `kmonte freeze PID… -o DIR [--leave-running]` */
import { resolve } from "node:path";
import type { Command } from "commander";
import { askDaemon, hasDaemon } from "../../daemon/client.ts";
import { freeze, type FrozenSet } from "../../freeze/freeze.ts";
import { failures } from "../../errors/catalogue.ts";
import { collect, parseDuration, parsePid } from "../arguments.ts";
import { interruptible } from "../interrupt.ts";
import { formatBytes, formatMilliseconds, printOutcome, tell } from "../output.ts";
import { showProgress } from "../progress.ts";

interface Options {
  readonly output: string;
  readonly leaveRunning?: boolean;
  readonly closeExternal?: boolean;
  readonly carry?: string[];
  readonly expires?: number;
  readonly encryptTo?: string[];
  readonly json?: boolean;
}

type Frozen = Omit<FrozenSet, "release" | "kill">;

export function addFreeze(program: Command): void {
  program
    .command("freeze")
    .description("freeze processes, each with all its threads and descendants, to a directory")
    .argument("<pid...>", "processes to freeze", parsePid)
    .requiredOption("-o, --output <directory>", "where the image goes: a new or empty directory")
    .option("--leave-running", "resume the processes when the image is complete")
    .option("--close-external", "let connections to processes that stay outside come back closed")
    .option(
      "--carry <path>",
      "take a file or folder along that would be gone after a boot; may be given again",
      collect,
    )
    .option("--expires <duration>", "from then on the image is refused: 90s, 30m, 12h, 7d", parseDuration)
    .option("--encrypt-to <recipient>", "encrypt to an age recipient (age1…); may be given again", collect)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Nothing is ended before the whole image is on disk and has been read back; if anything fails before that, ^C and
kill -9 included, the processes continue as if nothing had happened.

A unix socket whose other end a process outside has, such as the journal, stands in the way of a freeze. With
--close-external it comes back as if that process had ended, and so does a TCP connection to a process of this machine
that stays outside. Peers on other machines or in other network namespaces see a pause and nothing else in any case.

What the processes have open, mapped or mounted where nothing outlives a boot (/run, /dev/shm and other file systems in
memory) comes along, and is made again by the thaw where it is not there any more. --carry names what else does: pid
files, the RuntimeDirectory= of a unit, folders with all that is in them.

  kmonte freeze 4711 -o /var/lib/images/redis
  kmonte thaw /var/lib/images/redis`,
    )
    .action(async (pids: number[], options: Options) => {
      if (options.carry && hasDaemon()) throw failures.CARRY_USER();
      const progress = showProgress(options.json === true);
      const end = options.leaveRunning ? "resume" : "kill";
      const job = {
        pids,
        directory: options.output,
        end,
        closeExternal: options.closeExternal,
        carry: options.carry?.map((path) => resolve(path)),
        expiresAt: options.expires === undefined ? undefined : Date.now() + options.expires,
        encryptTo: options.encryptTo,
      } as const;
      const { carry: _, ...request } = job;
      const set = await interruptible<Frozen>((signal) =>
        hasDaemon()
          ? askDaemon({ ...request, verb: "freeze", directory: resolve(job.directory) }, progress.listen, signal)
          : freeze({ ...job, onProgress: progress.listen, signal }),
      ).finally(() => progress.end());
      const stopped = set.steps.find((step) => step.step === "stop")?.start ?? 0;
      const done = set.steps.at(-1)?.end ?? 0;
      const { directory, processes, bytes, notes, steps } = set;
      if (!options.json) for (const note of notes) tell(`kmonte: note: ${note}`);
      const names = processes.map(({ pid, command }) => `${command} (${pid})`).join(", ");
      printOutcome<"freeze">(
        options.json,
        { directory, processes, bytes, notes, steps, running: end === "resume" },
        `Frozen to ${directory}: ${names}.`,
        `${formatBytes(bytes)} of memory; ${end === "resume" ? "paused for" : "took"} ${formatMilliseconds(done - stopped)}.`,
      );
    });
}
