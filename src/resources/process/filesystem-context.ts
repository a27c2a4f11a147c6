/** Working directory, root and umask of a process (chdir(2), chroot(2), umask(2)). */
import { readlinkSync } from 'node:fs';
import * as v from 'valibot';
import { O } from '../../abi/fcntl.ts';
import { stat } from '../../abi/stat.ts';
import { Refusal } from '../../lib/errors.ts';
import type { FreezeProcess, ProcessResource } from '../contract.ts';
import { isLinked } from '../objects/contents.ts';
import { openPath } from '../objects/path-file.ts';

const schema = v.strictObject({ cwd: v.string(), root: v.string(), umask: v.number() });

export const filesystemContext: ProcessResource<v.InferOutput<typeof schema>> = {
  name: 'filesystemContext',
  schema,
  freeze: (process) => ({
    cwd: readPlace(process, 'cwd'),
    root: readPlace(process, 'root'),
    umask: Number.parseInt(process.status.get('Umask') ?? '022', 8),
  }),
  thaw(process, { cwd, root, umask }) {
    const { scope } = process;
    const enter = (path: string, then: (fd: number) => void): void => {
      const local = process.context.keep(openPath(path, O.O_DIRECTORY | O.O_PATH));
      process.lend(local, then);
    };
    if (root !== '/') {
      enter(root, (fd) => scope.call('fchdir', `Entering ${root}`, fd));
      scope.call('chroot', `Making ${root} the root of process ${process.pid}`, scope.put(Buffer.from('.\0')));
    }
    enter(cwd, (fd) => scope.call('fchdir', `Entering ${cwd}`, fd));
    scope.call('umask', 'Setting the umask', umask);
  },
};

function readPlace(process: FreezeProcess, name: 'cwd' | 'root'): string {
  const via = `/proc/${process.pid}/${name}`;
  const path = readlinkSync(via);
  if (!isLinked(path, stat(via))) {
    throw new Refusal(
      'UNLINKED_DIRECTORY',
      {
        what: `Process ${process.pid} (${process.command}) stands in a directory that is gone.`,
        why: `Its ${name === 'cwd' ? 'working directory' : 'root'} is ${path}.`,
        remedy: 'Make the directory again, or let the program change to another one.',
      },
      { pid: process.pid, command: process.command, path },
    );
  }
  return path;
}
