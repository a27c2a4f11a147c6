/** `kmonte`: what a person types. */
import { CommanderError } from "commander";
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
      printOutcome<"error">(json, {
        error: { code: "USAGE", kind: "usage", what, remedy: hint?.replace(/^\((.*)\)$/, "$1") },
      });
    }
    process.exitCode = 2;
  }
}
