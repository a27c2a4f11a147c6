/** Documents that a JSON Schema allows, such that together they have every member and every branch that it knows. */

/** As far as the schemas of images use the language. */
export interface Schema {
  readonly type?: "string" | "number" | "integer" | "boolean" | "null" | "array" | "object";
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly not?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly items?: Schema | readonly Schema[];
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
}

/** Texts of which one fits every pattern that there is. */
const TEXTS = ["", "1", "0x1", "a", "r", "0".repeat(16), "0".repeat(64)];

/** At least one for each branch; none where nothing is allowed. */
export function instancesOf(schema: Schema): unknown[] {
  if (schema.not) return [];
  if ("const" in schema) return [schema.const];
  if (schema.enum) return [...schema.enum];
  if (schema.anyOf) return branchesOf(schema, schema.anyOf);
  switch (schema.type) {
    case "string":
      return [textFor(schema.pattern ?? "")];
    case "number":
    case "integer":
      return [schema.minimum ?? 1];
    case "boolean":
      return [true];
    case "null":
      return [null];
    case "array":
      return listsOf(schema);
    case "object":
      return objectsOf(schema);
    default:
      return [{}];
  }
}

function textFor(pattern: string): string {
  const found = TEXTS.find((text) => new RegExp(pattern).test(text));
  if (found === undefined) throw new Error(`no text is known that ${pattern} allows`);
  return found;
}

/** Branches may stand beside members that all of them have. */
function branchesOf(schema: Schema, branches: readonly Schema[]): unknown[] {
  if (!schema.properties) return branches.flatMap(instancesOf);
  const [base] = objectsOf(schema) as object[];
  return branches
    .flatMap((branch) =>
      instancesOf({ type: "object", required: Object.keys(branch.properties ?? {}), ...branch } as Schema),
    )
    .map((one) => ({ ...base, ...(one as object) }));
}

function listsOf({ items = {}, minItems = 0 }: Schema): unknown[] {
  if (Array.isArray(items)) return [items.map((item: Schema) => instancesOf(item)[0])];
  const all = instancesOf(items as Schema);
  while (all.length < minItems) all.push(all[0]);
  return [all];
}

/** One with all members for each instance of the member that has most, and one with those alone that must be there. */
function objectsOf({ properties = {}, required = [], additionalProperties }: Schema): unknown[] {
  const members = Object.entries(properties).map(([name, schema]) => [name, instancesOf(schema)] as const);
  if (members.some(([name, values]) => values.length === 0 && required.includes(name))) return [];
  const others = typeof additionalProperties === "object" ? instancesOf(additionalProperties) : [];
  const named = others.map((value, i) => [`name${i}`, value] as const);
  const present = members.filter(([, values]) => values.length > 0);
  const most = Math.max(1, ...present.map(([, values]) => values.length));
  const whole = Array.from({ length: most }, (_, i) =>
    Object.fromEntries([...present.map(([name, values]) => [name, values[i % values.length]] as const), ...named]),
  );
  const least = present.filter(([name]) => required.includes(name)).map(([name, values]) => [name, values[0]]);
  return least.length === present.length ? whole : [...whole, Object.fromEntries(least)];
}
