// A service of Node, asked line by line at the TCP port $PORT: its pool of threads, files and timers are what matters.
const { appendFileSync, readFileSync, promises } = require("node:fs");
const { createInterface } = require("node:readline");
const { pbkdf2Sync } = require("node:crypto");

const text = `${process.env.STATE_DIRECTORY}/text`;
let count = 0;
let ticks = 0;
setInterval(() => (ticks += 1), 100);

const answers = {
  count: () => (count += 1),
  ticks: () => ticks,
  secret: () => readFileSync(`${process.env.CREDENTIALS_DIRECTORY}/token`, "utf8").trim(),
  write: (line) => appendFileSync(text, `${line}\n`),
  read: async () => (await promises.readFile(text, "utf8")).trim().split("\n").join("+"),
  digest: () => pbkdf2Sync("a", "b", 1000, 16, "sha256").toString("hex"),
  log: (line) => console.log(line),
};

require("node:net")
  .createServer((connection) => {
    connection.on("error", () => {});
    createInterface(connection).on("line", async (line) => {
      const [word, ...rest] = line.split(" ");
      const said = await Promise.resolve(answers[word]?.(rest.join(" "))).catch(String);
      connection.write(`${said ?? "done"}\n`);
    });
  })
  .listen(Number(process.env.PORT));
