/** `kmonte`: what a person types. */
import { CommanderError } from "commander";
import { failures } from "../errors/catalogue.ts";
import { fail, outliveReaders, printOutcome } from "./output.ts";
import { createProgram } from "./program.ts";

outliveReaders();
const json = process.argv.includes("--json");
try {
  await createProgram().parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) fail(error, json);
  else if (error.exitCode !== 0) {
    // commander has said it on standard error already.
    if (json) {
      const [what = "", hint] = error.message.replace(/^error: /, "").split("\n");
      const remedy = hint?.replace(/^\((.*)\)$/, "$1");
      printOutcome<"error">(json, { error: failures.USAGE.arguments({ what, remedy }).toJSON() });
    }
    process.exitCode = 2;
  }
}
