/** `kmonte inspect DIR` */
import type { Command } from "commander";
import { readImage } from "../../image/read.ts";
import { describeImage } from "../image-text.ts";
import { printJson, printLine } from "../output.ts";

interface Options {
  readonly unsigned?: boolean;
  readonly json?: boolean;
}

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show what is in an image")
    .argument("<directory>", "the image")
    .option("--unsigned", "look into an image that no trusted key has signed")
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
    .action((directory: string, options: Options) => {
      using image = readImage(directory, { unsigned: options.unsigned === true, lookOnly: true });
      if (options.json) printJson({ manifest: image.manifest, state: image.state });
      else for (const line of describeImage(image)) printLine(line);
    });
}
