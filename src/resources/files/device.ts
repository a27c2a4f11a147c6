/** Devices without a state of their own: they are opened again by their path. */
import * as v from 'valibot';
import { O_ACCMODE } from '../../abi/fcntl.ts';
import { S_IF } from '../../abi/stat.ts';
import type { FileKind } from '../contract.ts';
import { openPath } from '../objects/path-file.ts';

const schema = v.strictObject({ path: v.string(), device: v.string() });

/** Memory devices of major number 1 that keep nothing (Documentation/admin-guide/devices.txt). */
const STATELESS = new Map([
  ['1:3', '/dev/null'],
  ['1:5', '/dev/zero'],
  ['1:7', '/dev/full'],
  ['1:8', '/dev/random'],
  ['1:9', '/dev/urandom'],
  ['1:11', '/dev/kmsg'],
]);

export const statelessDevice: FileKind<v.InferOutput<typeof schema>> = {
  name: 'device',
  schema,
  recognise: (file) => file.stat.type === S_IF.S_IFCHR && STATELESS.has(file.stat.deviceNode),
  freeze: (file) => ({ path: file.link, device: file.stat.deviceNode }),
  thaw: (state, _context, flags) => openPath(state.path, flags & O_ACCMODE),
};
