/**
 * Carrying JSON of one format of images into the next, member by member. What a format did not have is never passed over
 * in silence: a converter names all that it knows, and throws a {@link MalformedImage} at everything else.
 */
import { MalformedImage } from "../../errors/wrong-input.ts";

/** Makes the new value of an old one; `where` is the old one's place in the document, for messages. */
export type Carry = (old: unknown, where: string) => unknown;
/** What becomes of each member, by its old name: its new value, and with {@link as} its new name. */
export type Members = Readonly<Record<string, Carry | Renamed>>;
/** A member that has another name in the next format. */
export interface Renamed {
  readonly name: string;
  readonly carry: Carry;
}
export type Json = Record<string, unknown>;

/** new = old */
const same: Carry = (old) => old;

/** What the next format has another value for, whatever the old one was. */
export const set =
  (value: unknown): Carry =>
  () =>
    value;

/** new.name = old */
export const as = (name: string, carry: Carry = same): Renamed => ({ name, carry });

/** An object with these members at most; those that are absent stay absent. */
export const members =
  (known: Members): Carry =>
  (old, where) => {
    const json = object(old, where);
    const stranger = Object.keys(json).find((name) => !Object.hasOwn(known, name));
    if (stranger !== undefined)
      throw new MalformedImage(`${where} has ${JSON.stringify(stranger)}, which is not known`);
    return carried(json, known, where);
  };

/** An object of which these members have changed; all others are the same as before. */
export const changed =
  (known: Members): Carry =>
  (old, where) =>
    carried(object(old, where), known, where);

function carried(json: Json, known: Members, where: string): Json {
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => {
      const member = Object.hasOwn(known, name) ? known[name] : same;
      const { name: next, carry } = typeof member === "object" ? member : as(name, member);
      return [next, carry(value, `${where}.${name}`)];
    }),
  );
}

/** These members, each the same as before. */
export const keep = (...names: readonly string[]): Readonly<Record<string, Carry>> =>
  Object.fromEntries(names.map((name) => [name, same]));

/** A list of such values. */
export const each =
  (carry: Carry): Carry =>
  (old, where) => {
    if (!Array.isArray(old)) throw new MalformedImage(`${where} is no list`);
    return old.map((value: unknown, i) => carry(value, `${where}[${i}]`));
  };

/** An object whose members have names of their own, such as ids, and such values. */
export const record =
  (carry: Carry): Carry =>
  (old, where) =>
    Object.fromEntries(
      Object.entries(object(old, where)).map(([name, value]) => [
        name,
        carry(value, `${where}[${JSON.stringify(name)}]`),
      ]),
    );

/** What is done for each kind of something. */
type Kinds = Readonly<Record<string, Carry>>;

/** An object whose member `kind` says what it is. */
export const ofKind =
  (kinds: Kinds): Carry =>
  (old, where) =>
    carryOf(kinds, object(old, where), where)(old, where);

/** An object whose member `kind` says what its member `state` is. */
export const withStateOfKind =
  (kinds: Kinds): Carry =>
  (old, where) => {
    const json = object(old, where);
    return { ...json, state: carryOf(kinds, json, where)(json["state"], `${where}.state`) };
  };

function carryOf(kinds: Kinds, { kind }: Json, where: string): Carry {
  const carry = typeof kind === "string" && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!carry) throw new MalformedImage(`${where} is of the kind ${JSON.stringify(kind)}, which is not known`);
  return carry;
}

export function object(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new MalformedImage(`${where} is no object`);
}
