/** `kmonte serve`: the service for ordinary users */
import type { Command } from "commander";
import { socketPath } from "../../daemon/protocol.ts";
import { serve } from "../../daemon/serve.ts";
import { installDaemon, SERVICE_UNIT, SOCKET_UNIT, uninstallDaemon } from "../../daemon/units.ts";
import { failures } from "../../errors/catalogue.ts";
import { printOutcome } from "../output.ts";

interface Options {
  readonly install?: boolean;
  readonly uninstall?: boolean;
  readonly json?: boolean;
}

export function addServe(program: Command): void {
  program
    .command("serve")
    .description("let ordinary users freeze and thaw processes of their own")
    .option("--install", "write systemd units that run it, with the path of this kmonte, and do nothing else")
    .option("--uninstall", "stop and disable these units, and remove them")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Listens at /run/kmonte/kmonte.sock, or where KMONTE_SOCKET says, until it is ended. To have systemd do it at every boot:

  sudo kmonte serve --install
  sudo systemctl enable --now kmonte.socket

The units name this kmonte by its path: install them again when it has moved. kmonte serve --uninstall takes both steps
back. kmonte freeze, thaw and check of an ordinary user ask there by themselves.

The kernel tells who asks. Only processes that are wholly that user's are touched, and a thaw opens and makes nothing
that the user could not open or make. Each user may have four requests there at a time; whoever connects and says
nothing is turned away within five seconds, and sooner when others come. Root does not need it and is turned away.`,
    )
    .action(async ({ install, uninstall, json }: Options) => {
      if (install && uninstall) throw failures.USAGE.installOrUninstall();
      if (install) {
        installDaemon();
        printOutcome<"serve --install">(
          json,
          { installed: [SOCKET_UNIT, SERVICE_UNIT] },
          `Installed; systemctl enable --now ${SOCKET_UNIT} starts it.`,
        );
        return;
      }
      if (uninstall) {
        const removed = uninstallDaemon();
        printOutcome<"serve --uninstall">(json, { removed }, removed ? "Removed." : "There was nothing to remove.");
        return;
      }
      await serve();
      printOutcome<"serve">(json, { listening: socketPath() }, `Listening at ${socketPath()}.`);
    });
}
