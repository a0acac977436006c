import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { accessibilityFaults, expect, overflow, signIn, test, traceId } from './page';

/** Where pictures of all pages are to be saved, for the documentation; they are looked at either way. */
const folder = process.env.RASTRO_E2E_PICTURES;

/** Every page, by the name that its picture gets: where it is, and what is there once it is drawn. */
const pages: Record<string, { path: string; drawn: string }> = {
  overview: { path: './', drawn: '[data-testid="topology"] a' },
  stages: { path: 'stages', drawn: '[data-testid="stages"] a' },
  stage: { path: 'stages/tracking.dedupe', drawn: 'main canvas' },
  queues: { path: 'queues', drawn: '[data-testid="queues"] tbody tr' },
  'dead-letters': { path: 'dead-letters', drawn: 'main h1' },
  jobs: { path: 'dead-letters?view=jobs', drawn: 'main h1' },
  audit: { path: 'dead-letters?view=audit', drawn: 'main h1' },
  traces: { path: 'traces', drawn: 'main a[href*="/traces/"]' },
  trace: { path: `traces/${traceId}`, drawn: '[data-testid="timeline"] button' },
  carriers: { path: 'carriers', drawn: '[data-testid="carrier"]' },
  carrier: { path: 'carriers?source=demo-fedex', drawn: '[data-testid="carrier-settings"] table' },
  tenant: { path: 'carriers?tab=tenant', drawn: '[data-testid="tenant"] table' },
  alerts: { path: 'alerts', drawn: 'main section, main details' },
  config: { path: 'config', drawn: '[data-testid="yaml"]' },
};

for (const theme of ['light', 'dark'] as const) {
  test.describe(theme, () => {
    test.use({ colorScheme: theme });

    test(`every page is well made, ${theme}`, async ({ page, isMobile }) => {
      test.skip(isMobile, 'a desktop has both themes, a phone is looked at page by page');
      if (folder) mkdirSync(folder, { recursive: true });
      await signIn(page);
      for (const [name, { path, drawn }] of Object.entries(pages)) {
        await test.step(name, async () => {
          await page.goto(path);
          await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
          await expect(page.locator(drawn).first()).toBeVisible();
          await expect(page.locator('main [data-visible="true"]:is([class*="Skeleton"])')).toHaveCount(0);
          await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', theme);
          expect(await accessibilityFaults(page), name).toEqual([]);
          expect(await overflow(page), name).toBeLessThanOrEqual(0);
          await page.locator(drawn).first().scrollIntoViewIfNeeded();
          if (folder) await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
        });
      }
    });
  });
}
