/** `kmonte`: what a person types. Each verb has a file of its own in commands/. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addCheck } from './commands/check.ts';
import { addFreeze } from './commands/freeze.ts';
import { addInspect } from './commands/inspect.ts';
import { addThaw } from './commands/thaw.ts';
import { fail } from './output.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

const program = new Command('kmonte')
  .description('Freezes running programs to files, boots another kernel under them, and thaws them where they were.')
  .version(version, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'print this help')
  .helpCommand('help [command]', 'print help for a command')
  .exitOverride()
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    `
Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused (nothing was touched), 130 interrupted.
Every command takes --json for scripts: one JSON object on standard output, {"error": …} when it fails.`,
  );

addCheck(program);
addFreeze(program);
addThaw(program);
addInspect(program);
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  // commander has said it on standard error already.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else fail(error, process.argv.includes('--json'));
}
