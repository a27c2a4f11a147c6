/** `kmonte serve`: the door for ordinary users */
import type { Command } from "commander";
import { doorPath } from "../../door/protocol.ts";
import { serve } from "../../door/serve.ts";
import { printLine } from "../output.ts";

export function addServe(program: Command): void {
  program
    .command("serve")
    .description("let ordinary users freeze and thaw processes of their own")
    .option("--json", "print an error as JSON")
    .addHelpText(
      "after",
      `
Listens at /run/kmonte/door.sock, or where KMONTE_DOOR says, until it is ended; systemctl enable --now
kmonte-door.socket does it at every boot. kmonte freeze, thaw and check of an ordinary user ask there by themselves.

The kernel tells who asks. Only processes that are wholly that user's are touched, and a thaw opens and makes nothing
that the user could not open or make.`,
    )
    .action(async () => {
      await serve();
      printLine(`Listening at ${doorPath()}.`);
    });
}
