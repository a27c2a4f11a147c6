/** `kmonte inspect DIR` */
import type { Command } from "commander";
import { openKeys } from "../../image/trust/keys.ts";
import { collect } from "../arguments.ts";
import { printJson, printLine } from "../output.ts";

interface Options {
  readonly unsigned?: boolean;
  readonly identity?: string[];
  readonly json?: boolean;
}

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show what is in an image")
    .argument("<directory>", "the image")
    .option("--unsigned", "look into an image that no trusted key has signed")
    .option("-i, --identity <file>", "a key that an encrypted image is opened with; may be given again", collect)
    .option("--json", "print the manifest and the whole state as JSON")
    .addHelpText(
      "after",
      `
All digests are checked first.

Examples:
  kmonte inspect IMAGE
  kmonte inspect IMAGE --json | jq '.state.processes[].body.descriptors'
  gdb PROGRAM IMAGE/PID.core`,
    )
    .action(async (directory: string, options: Options) => {
      // All kinds of resource hang on these: the other verbs, which leave them to their engine, start without them.
      const { readImage } = await import("../../image/read.ts");
      const { describeImage } = await import("../image-text.ts");
      const identities = openKeys(options.identity);
      using image = readImage(directory, { unsigned: options.unsigned === true, identities, lookOnly: true });
      if (options.json) printJson<"inspect">({ manifest: image.manifest, state: image.state });
      else for (const line of describeImage(image)) printLine(line);
    });
}
