/** All verbs of the command line. Each has a file of its own in commands/; the manual pages are made from this too. */
import { Command } from "commander";
import { ownVersion } from "../lib/own-version.ts";
import { tidyUp } from "../image/remove-leftovers.ts";
import { tidySwaps } from "../swap/leftovers.ts";
import { addBack } from "./commands/back.ts";
import { addCheck } from "./commands/check.ts";
import { addConvert } from "./commands/convert.ts";
import { addDecrypt } from "./commands/decrypt.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addFreeze } from "./commands/freeze.ts";
import { addHandOver } from "./commands/hand-over.ts";
import { addInspect } from "./commands/inspect.ts";
import { addKernels } from "./commands/kernels.ts";
import { addKey } from "./commands/key.ts";
import { addProtect } from "./commands/protect.ts";
import { addRehearse } from "./commands/rehearse.ts";
import { addReport } from "./commands/report.ts";
import { addServe } from "./commands/serve.ts";
import { addServices } from "./commands/services.ts";
import { addSuspend } from "./commands/suspend.ts";
import { addSwap } from "./commands/swap.ts";
import { addThaw } from "./commands/thaw.ts";

/** What `kmonte --help` and kmonte(1) say of exit statuses; EXIT_STATUS in lib/errors.ts has the numbers. */
const EXIT_STATUSES = `
Exit status:
  0    done
  1    failed; the message says what was left as it was
  2    wrong usage
  3    refused: nothing was touched
  4    done, but the result could not be written to standard output; what was done is said on standard error
  130  interrupted; everything was taken back

Every command takes --json for scripts: one JSON object on standard output, {"error": {"code": …}} when it fails.
docs/json.md beside kmonte says what each command prints. The codes are stable; docs/errors.md lists them.`;

export function createProgram(): Command {
  const program = new Command("kmonte")
    .description("Freezes running programs to files, boots another kernel under them, and thaws them where they were.")
    .version(ownVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print help for a command")
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText("after", EXIT_STATUSES)
    .hook("preAction", () => {
      tidyUp();
      if (process.geteuid?.() === 0) tidySwaps();
    });
  const verbs = [
    addCheck,
    addFreeze,
    addThaw,
    addInspect,
    addDecrypt,
    addConvert,
    addDoctor,
    addServices,
    addProtect,
    addSwap,
    addSuspend,
    addBack,
    addHandOver,
    addRehearse,
    addKernels,
    addReport,
    addKey,
    addServe,
  ];
  for (const add of verbs) add(program);
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  for (const command of all) command.helpOption("-h, --help", "print this help").exitOverride();
  return program;
}
