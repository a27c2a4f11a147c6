/** `kmonte protect UNIT…` and `kmonte unprotect UNIT…`: which units a swap takes along. */
import type { Command } from "commander";
import { failures } from "../../errors/catalogue.ts";
import {
  addProtections,
  PROTECT_DIRECTORY,
  type Protection,
  readProtections,
  removeProtections,
} from "../../units/protected.ts";
import { type RunningUnit, runningUnits, survey } from "../../units/survey.ts";
import { inTheWay } from "../../units/obstacles.ts";
import { requireSystemd } from "../../lib/systemctl.ts";
import { fullName, readUnits, requireRunning } from "../../units/unit.ts";
import { printJson, printLine } from "../output.ts";
import { isInTheWay, rerunOutside } from "../outside.ts";
import { requireRoot } from "../../lib/require-root.ts";

interface Options {
  readonly all?: boolean;
  readonly json?: boolean;
}

const FILES = `
The names stand in ${PROTECT_DIRECTORY}/*.conf, a name or a pattern a line; this command changes local.conf there.`;

export function addProtect(program: Command): void {
  program
    .command("protect")
    .description("choose units that a swap takes along")
    .argument("[unit...]", "names of services, or patterns such as 'postgresql@*'")
    .option("--all", "every service that can go along")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
Each unit is looked at as a swap would look at it. One that could not go along is refused with the reason, and nothing
is written. A pattern takes along what runs at the time of the swap. Sessions come with the service that they were
opened through: ssh.service brings the people logged in through it, their shells and what runs in them.
${FILES}

Examples:
  sudo kmonte protect redis-server nginx
  sudo kmonte protect 'postgresql@*'
  sudo kmonte services --protected`,
    )
    .action(async (units: string[], options: Options) => {
      requireSystemd("kmonte protect");
      requireRoot("protect units");
      if ((units.length === 0) !== (options.all === true)) throw failures.USAGE.unitsOrAll({ command: "protect" });
      if (!options.all) requireUnits(units);
      const named = units.map((pattern) => ({ pattern: fullName(pattern), file: "" }));
      const protections = [...readProtections(), ...named];
      const running = runningUnits(options.all ? undefined : protections);
      if (isInTheWay(running)) return void (await rerunOutside());
      const wanted = options.all ? await allThatCan(running) : units;
      if (!options.all) await requireAble(running, protections);
      const added = addProtections(wanted);
      if (options.json) return printJson<"protect">({ added });
      for (const name of added) printLine(`${name} is protected.`);
      if (added.length === 0) printLine("Nothing to do: protected already.");
    });
  program
    .command("unprotect")
    .description("choose units that a swap takes along no more")
    .argument("<unit...>", "names or patterns as kmonte protect was given them")
    .option("--json", "print the result as JSON")
    .addHelpText("after", FILES)
    .action((units: string[], options: Options) => {
      requireRoot("change what is protected");
      removeProtections(units);
      if (options.json) printJson<"unprotect">({ removed: units.map(fullName) });
      else for (const name of units) printLine(`${fullName(name)} is not protected any more.`);
    });
}

/** Patterns may stand for units that come later; a unit that is named must run, as it could not be looked at otherwise. */
function requireUnits(names: readonly string[]): void {
  const plain = names.filter((name) => !/[*?[]/.test(name));
  readUnits(plain).forEach((unit, i) => requireRunning(unit, plain[i] as string));
}

/** Looks at all that would be protected then, as one set. */
async function requireAble(running: readonly RunningUnit[], protections: readonly Protection[]): Promise<void> {
  const refusals = inTheWay(await survey(running, protections));
  if (refusals.length === 0) return;
  throw failures.CANNOT_PROTECT({ refusals });
}

async function allThatCan(running: readonly RunningUnit[]): Promise<string[]> {
  const looked = await survey(running, []);
  return looked
    .filter(({ verdict, obstacles }) => verdict === "anew" && obstacles.length === 0)
    .map(({ unit }) => unit.name);
}
