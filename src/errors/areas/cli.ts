/** What the command line says of what it was asked for. */
import { refusedTogether, failed, interrupted, refused, usage, type Texts } from "../entry.ts";

export const cli = {
  NOTHING_ON_TRIAL: refused(() => ({
    what: "There is no way back to go.",
    why: "No swap waits to be thawed or for its health command on this kernel.",
    remedy: "Swap to the old kernel like to any other: kmonte swap --to VERSION --pid PID",
  })),
  USAGE: {
    processesOrAll: usage(() => ({
      what: "Name processes, or give --all without --to.",
      remedy: "See kmonte check --help.",
    })),
    unitsOrAll: usage(({ command }: Texts<"command">) => ({
      what: "Name units, or give --all.",
      remedy: `See kmonte ${command} --help.`,
    })),
    reportOrJson: usage(() => ({
      what: "Standard output takes a report or JSON, not both.",
      remedy: "Name a file for the report, or leave --json out.",
    })),
    installOrUninstall: usage(() => ({
      what: "Give either --install or --uninstall.",
      remedy: "See kmonte serve --help.",
    })),
    imageOrBoot: usage(() => ({ what: "Name one image, or give --boot.", remedy: "See kmonte thaw --help." })),
    nobodyAgrees: usage(({ purpose }: Texts<"purpose">) => ({
      what: `Nobody is there to agree to ${purpose}.`,
      why: "Standard input is no terminal.",
      remedy: "Give --yes.",
    })),
    arguments: usage(({ what, remedy }: Texts<"what"> & { readonly remedy: string | undefined }) => ({ what, remedy })),
  },
  CARRY_USER: refused(() => ({
    what: "Only root can take other files along.",
    why: "With --carry, files are read that the processes may not be able to read themselves.",
    remedy: "Leave --carry out, or ask root to freeze them.",
  })),
  INTERRUPTED: {
    signal: interrupted(({ name }: Texts<"name">) => ({
      what: "Interrupted; everything is as it was.",
      why: `kmonte got ${name}.`,
    })),
    declined: interrupted(() => ({ what: "Nothing was done." })),
    freeze: interrupted(() => ({ what: "The freeze was interrupted; the processes go on as they were." })),
    thaw: interrupted(() => ({
      what: "The thaw was interrupted; nothing was left running, and the image is as it was.",
    })),
  },
  NOT_OUTSIDE: failed(({ said }: Texts<"said">) => ({
    what: "kmonte cannot freeze the session that it was started from.",
    why: `Running it outside of it failed: ${said}`,
    remedy: "Start it from another place, such as the console.",
  })),
  NOTHING_PROTECTED: refused(() => ({
    what: "There is nothing to take along.",
    why: "No protected unit is running, and no process was named.",
    remedy: "Choose units: kmonte services, kmonte protect UNIT.",
  })),
  TOLERATED_NOT_ALONG: refused(({ unknown }: Texts<"unknown">) => ({
    what: `${unknown} cannot be tolerated.`,
    why: "No protected unit that runs has this name.",
    remedy: "kmonte services --protected shows those that there are.",
  })),
  BAD_OPTIONS: usage(({ issue }: Texts<"issue">) => ({
    what: "kmonte was called with options that it does not understand.",
    why: `${issue}.`,
    remedy: "See the types in its package.",
  })),
  NOT_ROOT: refused(({ purpose, why }: Texts<"purpose" | "why">) => ({
    what: `Only root can ${purpose}.`,
    why,
    remedy: "Run it with sudo.",
  })),

  CANNOT_PROTECT: refusedTogether(() => ({
    what: "Nothing was protected: a swap could not take all of them along.",
  })),
  UNITS_IN_THE_WAY: refusedTogether(() => ({
    what: "Not all protected units can go along; nothing was stopped.",
    remedy: "kmonte unprotect UNIT leaves one out.",
  })),
  CANNOT_TOLERATE: refusedTogether(() => ({
    what: "A unit that shares something with others cannot be tolerated; nothing was stopped.",
    why: "It would be thawed without them, and what they have in common would come apart.",
    remedy: "Leave --tolerate out for the units that are named, or tolerate none of them.",
  })),
  DEFECT: failed(({ what }: Texts<"what">) => ({ what })),
};
