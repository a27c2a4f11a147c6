/**
 * What each command prints with --json: schemas that the printing code takes its types from, and that scripts/schema.ts
 * makes the files in schema/ from. A command that prints other things with some of its options has several. Commands
 * import types alone: with all kinds of resource behind them, the schemas would slow every start.
 */
import type * as v from "valibot";
import { errorSchema } from "./failures.ts";
import { inspectSchema } from "./image.ts";
import {
  doctorSchema,
  kernelsSchema,
  planSchema,
  protectSchema,
  rehearseSchema,
  servicesSchema,
  unchangedSchema,
  unprotectSchema,
} from "./machine.ts";
import { checkAllSchema, checkSchema, convertSchema, decryptSchema, freezeSchema, thawSchema } from "./processes.ts";
import {
  keyListSchema,
  keyNewEncryptionSchema,
  keyNewSchema,
  keySchema,
  serveInstallSchema,
  serveSchema,
  serveUninstallSchema,
} from "./settings.ts";
import { handOverSchema, reportFileSchema, reportMailSchema, reportSchema, swapsSchema } from "./swaps.ts";

/** By the words of the command and the option that makes the difference; `error` is in the place of any of them. */
export interface Results {
  readonly error: typeof errorSchema;
  readonly check: typeof checkSchema;
  readonly "check --all": typeof checkAllSchema;
  readonly freeze: typeof freezeSchema;
  readonly thaw: typeof thawSchema;
  readonly "thaw --boot": typeof swapsSchema;
  readonly inspect: typeof inspectSchema;
  readonly decrypt: typeof decryptSchema;
  readonly convert: typeof convertSchema;
  readonly doctor: typeof doctorSchema;
  readonly services: typeof servicesSchema;
  readonly protect: typeof protectSchema;
  readonly unprotect: typeof unprotectSchema;
  readonly "swap --plan": typeof planSchema;
  readonly "swap --unattended": typeof unchangedSchema;
  readonly "suspend --plan": typeof planSchema;
  readonly back: typeof swapsSchema;
  readonly "hand-over": typeof handOverSchema;
  readonly rehearse: typeof rehearseSchema;
  readonly kernels: typeof kernelsSchema;
  readonly report: typeof reportSchema;
  readonly "report --html": typeof reportFileSchema;
  readonly "report --metrics": typeof reportFileSchema;
  readonly "report --mail": typeof reportMailSchema;
  readonly "key list": typeof keyListSchema;
  readonly "key new": typeof keyNewSchema;
  readonly "key new --encryption": typeof keyNewEncryptionSchema;
  readonly "key trust": typeof keySchema;
  readonly "key revoke": typeof keySchema;
  readonly serve: typeof serveSchema;
  readonly "serve --install": typeof serveInstallSchema;
  readonly "serve --uninstall": typeof serveUninstallSchema;
}

/** Typed by name, as the types of all of them together are too long for a declaration file. */
export const RESULTS: Results = {
  error: errorSchema,
  check: checkSchema,
  "check --all": checkAllSchema,
  freeze: freezeSchema,
  thaw: thawSchema,
  "thaw --boot": swapsSchema,
  inspect: inspectSchema,
  decrypt: decryptSchema,
  convert: convertSchema,
  doctor: doctorSchema,
  services: servicesSchema,
  protect: protectSchema,
  unprotect: unprotectSchema,
  "swap --plan": planSchema,
  "swap --unattended": unchangedSchema,
  "suspend --plan": planSchema,
  back: swapsSchema,
  "hand-over": handOverSchema,
  rehearse: rehearseSchema,
  kernels: kernelsSchema,
  report: reportSchema,
  "report --html": reportFileSchema,
  "report --metrics": reportFileSchema,
  "report --mail": reportMailSchema,
  "key list": keyListSchema,
  "key new": keyNewSchema,
  "key new --encryption": keyNewEncryptionSchema,
  "key trust": keySchema,
  "key revoke": keySchema,
  serve: serveSchema,
  "serve --install": serveInstallSchema,
  "serve --uninstall": serveUninstallSchema,
};

export type ResultName = keyof Results;

/** What is printed under this name; the printing code changes nothing of it. */
export type Result<N extends ResultName> = Unchanging<v.InferOutput<Results[N]>>;

type Unchanging<T> = T extends object ? { readonly [K in keyof T]: Unchanging<T[K]> } : T;
