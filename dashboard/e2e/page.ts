import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test as base, type ConsoleMessage, expect, type Page } from '@playwright/test';
import type { AxeResults } from 'axe-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/** The browser notes every answer of 401. To the question who we are it is no fault: it is how the page learns to sign in. */
const tellsToSignIn = (message: ConsoleMessage): boolean =>
  message.location().url.endsWith('/api/v1/me') && message.text().includes('401');

/** A page that fails its test when anything went wrong in its console, or when what it showed jumped about. */
export const test = base.extend<{ faults: string[] }>({
  // biome-ignore lint/correctness/noEmptyPattern: how Playwright says that nothing is needed for it
  faults: async ({}, use) => use([]),
  page: async ({ page, faults }, use) => {
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      if (!tellsToSignIn(message)) faults.push(`${message.text()} ${message.location().url}`);
    });
    page.on('pageerror', (error) => faults.push(error.message));
    await use(page);
    expect(faults, 'errors in the console').toEqual([]);
  },
});

/** The number that a counter of the page shows. */
export const numberIn = (text: string | null): number => Number((text ?? '').replace(/\D/g, ''));

export const user = process.env.RASTRO_E2E_USER ?? 'Rosa Quispe';
export const traceId = process.env.RASTRO_E2E_TRACE;

/** Opens the dashboard and signs in on the way, as whoever comes for the first time does. */
export async function signIn(page: Page, path = './', as = user): Promise<void> {
  await page.goto(path);
  await page
    .getByRole('button', { name: as })
    .or(page.getByRole('link', { name: as }))
    .first()
    .click();
  await expect(page.getByRole('navigation').first()).toBeVisible();
}

/** Waits until nothing that ends by itself moves or fades: a colour halfway from one theme to the other has no contrast of its own. */
async function atRest(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const frame = () => new Promise<unknown>((resolve) => requestAnimationFrame(resolve));
    const moving = () =>
      document
        .getAnimations()
        .some((a) => a.playState === 'running' && Number.isFinite(Number(a.effect?.getComputedTiming().endTime)));
    // A change of theme is heard in one frame, and what fades because of it begins in the next. Some always move: they are not waited for.
    const until = performance.now() + 5_000;
    for (let still = 0; still < 3 && performance.now() < until; still = moving() ? 0 : still + 1) await frame();
  });
}

/** What axe finds wrong, in one line each. It is run over the debugging protocol, which the security policy lets in. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  await atRest(page);
  const results = await page.evaluate(
    (tags) =>
      (window as unknown as { axe: { run: (root: Document, options: object) => Promise<AxeResults> } }).axe.run(
        document,
        {
          runOnly: tags,
        },
      ),
    standards,
  );
  return results.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`);
}

/** How much what is shown has moved by itself since the page was loaded (the cumulative layout shift). */
export async function layoutShift(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        let sum = 0;
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
            if (!entry.hadRecentInput) sum += entry.value;
          }
        });
        observer.observe({ type: 'layout-shift', buffered: true });
        setTimeout(() => resolve(sum), 300);
      }),
  );
}

/** How many pixels the page is wider than its window. */
export const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/** Saves a picture of the page where RASTRO_E2E_SCREENSHOT says, under a name that says what it shows. */
export async function picture(page: Page, what: string, project: string): Promise<void> {
  const path = process.env.RASTRO_E2E_SCREENSHOT;
  if (!path) return;
  const main = what === 'trace' && project === 'desktop-light';
  await page.screenshot({ path: main ? path : path.replace(/(\.\w+)?$/, `-${what}-${project}$1`) });
}

export { expect };
