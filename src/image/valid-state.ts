/** Whether a state is of this format, down to what each kind of file and object says of itself. */
import * as v from "valibot";
import { issueOf } from "../lib/requests.ts";
import { filesOf, objectsOf } from "./kinds.ts";
import { stateSchema, type FrozenState } from "./schema.ts";

/** What is wrong with a state, and where, without a full stop; undefined when it is as the schemas have it. */
export function invalidPart(state: unknown): string | undefined {
  const whole = v.safeParse(stateSchema, state);
  return whole.success ? invalidKind(whole.output) : issueOf(whole.issues[0]);
}

/** The same for what the schema of the whole leaves to the kinds. */
export function invalidKind(state: FrozenState): string | undefined {
  for (const { what, kind, state: own } of [...filesOf(state), ...objectsOf(state)]) {
    if (!kind) return `${what}: it is of no kind that is known`;
    const { success, issues } = v.safeParse(kind.schema, own);
    if (!success) return `${what}: ${issueOf(issues[0])}`;
  }
  return undefined;
}
