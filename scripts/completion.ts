/** Prints what bash completes of `kmonte …`, from the same definitions that --help shows: `node scripts/completion.ts`. */
import type { Option } from "commander";
import { createProgram } from "../src/cli/program.ts";

/** What options and arguments of these names are completed with: arguments of compgen, bash(1). */
const KINDS: Readonly<Record<string, string>> = {
  kernel: `-W "$(find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\\n' | sed 's/^vmlinuz-//')"`,
  unit: `-W "$(systemctl list-units --full --plain --no-legend --type=service,scope 2>/dev/null | cut -d' ' -f1)"`,
  pid: `-W "$(ps -A -o pid=)"`,
  directory: "-d",
  file: "-f",
  path: "-f",
};

/** Nothing can be proposed for a text of other names, such as a command or a number. */
function kindOf(name: string): string {
  return KINDS[name] ?? "-W ''";
}

const program = createProgram();
const options = program.commands.flatMap((command) => command.options);

/** Options of the same name take the same kind of value with every command. */
const valued = new Map(
  options
    .filter(({ required }) => required)
    .map((option) => [namesOf(option).join("|"), /<([\w-]+)>/.exec(option.flags)?.[1] ?? ""]),
);

function namesOf({ short, long }: Option): string[] {
  return [short, long].filter((name) => name !== undefined);
}

const verbs = program.commands.map((command) => {
  const words = [...command.options.flatMap(({ long }) => long ?? []), "--help"];
  const subcommands = command.commands.map((one) => one.name()).join(" ");
  const argument = command.registeredArguments[0]?.name() ?? "";
  const kind = subcommands === "" ? kindOf(argument) : `-W "${subcommands}"`;
  return `    ${command.name()}) words="${words.join(" ")}"; _kmonte_propose ${kind} ;;`;
});

process.stdout.write(`# bash completion of kmonte(1). Made by scripts/completion.ts.
_kmonte() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=
  _kmonte_propose() {
    local found IFS=$' \\t\\n'
    found=$(compgen "$@" -- "$word")
    IFS=$'\\n'
    COMPREPLY=($found)
  }
  if [ "$COMP_CWORD" -eq 1 ]; then
    _kmonte_propose -W "${program.commands.map((command) => command.name()).join(" ")} help --help --version"
    return
  fi
  case \${COMP_WORDS[COMP_CWORD - 1]} in
${[...valued].map(([names, kind]) => `    ${names}) _kmonte_propose ${kindOf(kind)}; return ;;`).join("\n")}
  esac
  case \${COMP_WORDS[1]} in
${verbs.join("\n")}
  esac
  case $word in -*) _kmonte_propose -W "$words" ;; esac
}
complete -o filenames -F _kmonte kmonte
`);
