/**
 * `kmonte`: what a person types. What is released starts from a snapshot of this program as it is when all of it has
 * been loaded (startup snapshots of node(1), scripts/snapshot.ts).
 */
import { startupSnapshot } from "node:v8";
import { CommanderError } from "commander";
import { failures } from "../errors/catalogue.ts";
import { freezeHandlers } from "../freeze/worker.ts";
import { workHere } from "../sys/engine-here.ts";
import { thawHandlers } from "../thaw/worker.ts";
import { fail, outliveReaders, printOutcome } from "./output.ts";
import { createProgram } from "./program.ts";

async function main(): Promise<void> {
  outliveReaders();
  workHere({ "freeze/worker": freezeHandlers, "thaw/worker": thawHandlers });
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
}

if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(() => void main());
else void main();
