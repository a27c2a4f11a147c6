/** Debian's Chromium, for pages that are to be looked at as a person does: with eyes, keys, or a screen reader. */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { ensurePackages } from "../scripts/packages.ts";

export interface View {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
  /** A page's own policy keeps scripts of ours out too. */
  readonly audited?: boolean;
}

/** A page of a file, with all requests that were made for it. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  readonly requests: readonly string[];
}

export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async open(): Promise<TestBrowser> {
    ensurePackages(["chromium", "fonts-dejavu-core"]);
    // Root has no other way, and the page is ours.
    const args = process.geteuid?.() === 0 ? ["--no-sandbox"] : [];
    return new TestBrowser(await chromium.launch({ executablePath: "/usr/bin/chromium", args }));
  }

  async show(file: string, { width = 1100, scheme = "light", audited = false }: View = {}): Promise<OpenPage> {
    const context = await this.#browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: scheme,
      bypassCSP: audited,
    });
    const page = await context.newPage();
    const requests: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    return { page, requests, [Symbol.asyncDispose]: () => context.close() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe-core finds wrong for people who cannot see, or not well; a line for each. */
export async function barriers(page: Page): Promise<string[]> {
  await page.addScriptTag({ content: AXE });
  const found = await page.evaluate("axe.run()");
  const { violations, passes } = found as { violations: Finding[]; passes: Finding[] };
  if (passes.length < 10) throw new Error(`axe-core looked at ${passes.length} things only`);
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}
