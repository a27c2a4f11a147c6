/** The rules of ARCHITECTURE.md that a program can check: who may import whom, and where dangerous things stand. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

/** Lower lines never import higher ones; folders of one line do not import each other. */
const LAYERS = [
  ["errors"],
  ["lib"],
  ["abi"],
  ["sys"],
  ["proc"],
  ["tracee"],
  ["resources"],
  ["image"],
  ["freeze", "thaw"],
  ["units"],
  ["swap", "daemon"],
  ["report"],
  ["cli"],
];

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = globSync("src/**/*.ts", { cwd: ROOT }).sort();

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found = text.matchAll(/^(?:import|export)\b[^;]*?\bfrom ["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm);
  return [...found].map((match) => {
    const target = match[1] ?? match[2] ?? "";
    const to = target.startsWith(".") ? relative(ROOT, join(ROOT, dirname(file), target)) : target;
    return { from: file, to };
  });
}

const imports = sources.flatMap(importsOf);

const layerOf = (file: string): string => file.split("/")[1] ?? "";
const rankOf = (layer: string): number => LAYERS.findIndex((line) => line.includes(layer));

describe("layers", () => {
  test("every folder of src has its place", () => {
    const folders = new Set(sources.filter((file) => file.split("/").length > 2).map(layerOf));
    assert.deepEqual(
      [...folders].filter((folder) => rankOf(folder) < 0),
      [],
    );
  });
  test("lower never imports higher, nor a neighbour", () => {
    const inside = imports.filter(({ from, to }) => from !== "src/index.ts" && to.startsWith("src/"));
    assert.ok(inside.length > 100, "the imports were found");
    const wrong = inside.filter(({ from, to }) => {
      const [mine, theirs] = [layerOf(from), layerOf(to)];
      return mine !== theirs && rankOf(theirs) >= rankOf(mine);
    });
    assert.deepEqual(wrong, []);
  });
  test("only the command line knows commander", () => {
    const forPeople = imports.filter(({ to }) => to === "commander").map(({ from }) => layerOf(from));
    assert.deepEqual(
      [...new Set(forPeople)].filter((layer) => layer !== "cli"),
      [],
    );
  });
  test("all imports of files say their ending, and the files exist", () => {
    const wrong = imports.filter(({ to }) => to.startsWith("src/") && !existsSync(join(ROOT, to)));
    assert.deepEqual(wrong, []);
  });
});

describe("danger is visible", () => {
  test("one file imports the foreign-function library, and its name says what it is", () => {
    const files = new Set(imports.filter(({ to }) => to === "koffi").map(({ from }) => from));
    assert.deepEqual([...files], ["src/sys/ffi.unsafe.ts"]);
  });
  test("what is not of this project is known", () => {
    const packages = new Set(
      imports.map(({ to }) => to).filter((to) => !to.startsWith("src/") && !to.startsWith("node:")),
    );
    assert.deepEqual([...packages].sort(), ["commander", "koffi", "valibot"]);
  });
});

describe("a process is asked through a thread that lives", () => {
  /** What /proc and the kernel tell even of a first thread that has ended. */
  const TOLD = new Set(["stat", "status", "comm", "task", "attr", "oom_score_adj", "autogroup", "loginuid"]);
  const textOf = (file: string): string => readFileSync(join(ROOT, file), "utf8");
  test("paths of what only a living thread tells are made by procPath, which takes a Task", () => {
    // Messages name paths for people to read.
    const wrong = sources
      .filter((file) => !file.startsWith("src/errors/"))
      .flatMap((file) =>
        [...textOf(file).matchAll(/`\/proc\/\$\{[^}]*\}\/([a-z_]+)[`/]/g)].flatMap(([path, name = ""]) =>
          TOLD.has(name) ? [] : [`${file}: ${path}`],
        ),
      );
    assert.deepEqual(wrong, []);
  });
  test("so is kcmp(2), by compareTasks", () => {
    const using = sources.filter((file) => /(?:attempt|call)\("kcmp"/.test(textOf(file)));
    assert.deepEqual(using, ["src/sys/task.ts"]);
  });
});

describe("files stay small", () => {
  test("none has more than 400 lines", () => {
    // Tables of the kernel's names are data.
    const long = sources.filter((file) => readFileSync(join(ROOT, file), "utf8").split("\n").length > 400);
    assert.deepEqual(
      long.filter((file) => !file.startsWith("src/abi/")),
      [],
    );
  });
});

describe("every kind of resource has a program that shows it", () => {
  const programs = globSync("test/programs/*.{c,py}", { cwd: ROOT });
  const shown = programs.flatMap((program) => {
    const text = readFileSync(join(ROOT, program), "utf8");
    return [...text.matchAll(/kmonte-shows: *(.*?)(?: *\*\/)?$/gm)].flatMap((match) =>
      (match[1] ?? "").split(/[ ,]+/).map((name) => ({ program, name })),
    );
  });
  const kinds = globSync("src/resources/*/**/*.ts", { cwd: ROOT })
    .filter((file) =>
      /^export const \w+: (?:File|Object)Kind<|^export const \w+: (?:Process|Thread)Resource</m.test(
        readFileSync(join(ROOT, file), "utf8"),
      ),
    )
    .map((file) => relative("src/resources", file).replace(/\.ts$/, ""))
    .sort();

  test("the kinds are found", () => assert.ok(kinds.length >= 20, kinds.join(" ")));
  for (const kind of kinds) {
    test(kind, () => {
      assert.ok(
        shown.some(({ name }) => name === kind),
        `no program of test/programs has "kmonte-shows: ${kind}" in its first comment`,
      );
    });
  }
  test("no program names a file that is not there", () => {
    const wrong = shown.filter(({ name }) => !existsSync(join(ROOT, "src/resources", `${name}.ts`)));
    assert.deepEqual(wrong, []);
  });
});
