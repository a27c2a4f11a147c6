/** `kmonte thaw DIR` */
import type { Command } from 'commander';
import { thaw } from '../../thaw/thaw.ts';
import { interruptible } from '../interrupt.ts';
import { formatMilliseconds, printJson, printLine, tell } from '../output.ts';
import { showProgress } from '../progress.ts';

interface Options {
  readonly json?: boolean;
}

export function addThaw(program: Command): void {
  program
    .command('thaw')
    .description('bring frozen processes back under their own ids and let them go on')
    .argument('<directory>', 'the image that kmonte freeze wrote')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Everything the processes need is checked before anything is made, and all that is wrong is listed. A thaw that fails
leaves no process behind and the image as it was. The processes become children of init.`,
    )
    .action(async (directory: string, options: Options) => {
      const progress = showProgress(options.json === true);
      const report = await interruptible((signal) => thaw({ directory, onProgress: progress.listen, signal })).finally(() =>
        progress.end(),
      );
      if (options.json) {
        printJson(report);
        return;
      }
      for (const note of report.notes) tell(`kmonte: note: ${note}`);
      const first = report.steps[0]?.start ?? 0;
      const last = report.steps.at(-1)?.end ?? 0;
      printLine(`Running again: ${report.processes.map(({ pid, command }) => `${command} (${pid})`).join(', ')}.`);
      printLine(`Took ${formatMilliseconds(last - first)}.`);
    });
}
