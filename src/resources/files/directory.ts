/** An open directory, or any file system object opened with O_PATH. */
import * as v from 'valibot';
import { O } from '../../abi/fcntl.ts';
import { S_IF } from '../../abi/stat.ts';
import { Refusal } from '../../lib/errors.ts';
import type { FileKind } from '../contract.ts';
import { isLinked } from '../objects/contents.ts';
import { openPath } from '../objects/path-file.ts';

const schema = v.strictObject({ path: v.string() });

export const directory: FileKind<v.InferOutput<typeof schema>> = {
  name: 'directory',
  schema,
  recognise: (file) =>
    file.stat.type === S_IF.S_IFDIR || ((file.info.flags & O.O_PATH) !== 0 && file.stat.type !== S_IF.S_IFREG),
  freeze(file) {
    if (!isLinked(file.link, file.stat)) {
      throw new Refusal(
        'UNLINKED_DIRECTORY',
        {
          what: `Process ${file.pid} (${file.command}) has a directory open that is gone.`,
          why: `Descriptor ${file.fd} leads to ${file.link}.`,
          remedy: 'Let the program close it first.',
        },
        { pid: file.pid, fd: file.fd, command: file.command, path: file.link },
      );
    }
    return { path: file.link };
  },
  thaw: (state, _context, flags) => openPath(state.path, flags & (O.O_DIRECTORY | O.O_PATH | O.O_NOFOLLOW | O.O_NOATIME)),
};
