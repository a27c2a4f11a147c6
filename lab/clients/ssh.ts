/**
 * ssh.ts HOST PORT KEY USER: a person at a terminal, in one login: a shell that counts in its memory, and vi in tmux, begun
 * before and finished when we are asked for the result.
 */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { Pauses, report, watchInput } from "./client.ts";

const [host = "", port = "", key = "", user = ""] = process.argv.slice(2);
const OPTIONS = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"];
const BEFORE = "written before,";
const AFTER = "and after";
const LETTER = `tmux send-keys -t work`;

const pauses = new Pauses();
const input = watchInput();

await report(pauses, async () => {
  const options = OPTIONS.flatMap((option) => ["-o", option]);
  // Whoever ends this program by force ends that as well.
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", "ssh", "-tt", ...options, "-i", key, "-p", port, `${user}@${host}`],
    {
      stdio: "pipe",
      // So the shell's line editor draws nothing.
      env: { ...process.env, TERM: "dumb" },
    },
  );
  let seen = "";
  let more = Promise.withResolvers<void>();
  const ended = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`the session ended: ${seen.slice(-200).trim()}`)));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        pauses.arrived();
        seen += text;
        more.resolve();
      });
  });
  ended.catch(() => {});
  child.stdin.on("error", () => {});
  /** Types a line, and gives what the pattern finds in what came back. */
  const type = async (line: string, answer: RegExp): Promise<RegExpExecArray> => {
    seen = "";
    child.stdin.write(`${line}\n`);
    for (;;) {
      const found = answer.exec(seen);
      if (found) return found;
      more = Promise.withResolvers();
      await Promise.race([more.promise, ended]);
    }
  };
  await type("stty -echo; PS1=; PS2=; n=0", /\$ /);
  const [, shell] = await type('echo "shell $$"', /^shell (\d+)\r?$/m);
  await type(
    `tmux new-session -d -s work vi letter; sleep 2; ${LETTER} i"${BEFORE}" Escape; echo "begun"`,
    /^begun\r?$/m,
  );
  pauses.begin();
  let lines = 0;
  while (!input.ended) {
    const [, count, pid] = await type('n=$((n + 1)); echo "line $n $$"', /^line (\d+) (\d+)\r?$/m);
    lines += 1;
    if (Number(count) !== lines || pid !== shell)
      throw new Error(`line ${lines} of shell ${shell} was ${count}, ${pid}`);
    await Promise.race([delay(500), ended]);
  }
  const finish = `${LETTER} A" ${AFTER}" Escape :wq Enter; while tmux has-session -t work; do sleep 0.2; done; cat letter`;
  await type(`{ ${finish}; } 2>/dev/null; echo "over"`, new RegExp(`^${BEFORE} ${AFTER}\\r?$[^]*^over\\r?$`, "m"));
  return `${lines} lines typed to shell ${shell}; vi in tmux wrote "${BEFORE} ${AFTER}"`;
});
