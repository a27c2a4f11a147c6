/** Schemas that say what their values are: the JSON Schemas in schema/ are made of them, for people who read these. */
import * as v from "valibot";

type Described<S extends v.GenericSchema> = v.SchemaWithPipe<
  readonly [S, v.DescriptionAction<v.InferOutput<S>, string>]
>;

/** The same schema with a sentence for people: what the value is, and its unit. */
export function described<const S extends v.GenericSchema>(schema: S, text: string): Described<S> {
  return v.pipe(schema, v.description<v.InferOutput<S>, string>(text)) as Described<S>;
}
