/**
 * What takes long, in an emulated machine, and is of the same kind as what runs always: only `npm run test:thorough`
 * runs it. The value is the option `skip` of node:test.
 */
export const THOROUGH = "KMONTE_THOROUGH";

export const unlessThorough: string | false =
  process.env[THOROUGH] === "1" ? false : "takes long: npm run test:thorough runs it";
