/** `npm run machine`: boots a machine made of namespaces and gives a shell in it, to try things by hand. */
import { Command, Option } from "commander";
import { EXIT_STATUS, KmonteError } from "../src/errors/failure.ts";
import { DEBIAN_SUITES, type DebianRelease } from "./bootstrap.ts";
import { NamespaceMachine } from "./namespace-machine.ts";

interface ShellOptions {
  readonly debian: DebianRelease;
  readonly packages: string;
}

const program = new Command("npm run machine --")
  .description(
    "Boots a Debian with its own systemd on this kernel, in seconds, and gives a shell; it is gone afterwards.",
  )
  .addOption(new Option("--debian <release>", "which Debian").choices(Object.keys(DEBIAN_SUITES)).default("12"))
  .option("--packages <names>", "Debian packages to have in it, with commas", "")
  .argument("[command...]", "a command to run instead of a shell")
  .action(main);

async function main(argv: readonly string[], options: ShellOptions): Promise<void> {
  const packages = options.packages.split(",").filter(Boolean);
  const onStep = (step: string) => process.stderr.write(`${step}\n`);
  await using machine = await NamespaceMachine.make({ debian: options.debian, packages, onStep });
  do {
    onStep("boot");
    const state = await machine.boot();
    if (argv.length === 0) {
      const clients = machine.network.inside("COMMAND").flat().join(" ");
      onStep(`The system is ${state}. "reboot" boots it again with the same disk, "exit" ends it.`);
      onStep(`Clients outside reach it as ${machine.network.reach(0, false).host}: ${clients}`);
    }
    process.exitCode = argv.length > 0 ? await machine.attach(argv) : await machine.shell();
    await machine.settled();
  } while (machine.asksForReboot);
}

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof KmonteError)) throw error;
  process.stderr.write(`${[error.what, error.why, error.remedy].filter(Boolean).join("\n")}\n`);
  process.exitCode = EXIT_STATUS[error.kind];
}
