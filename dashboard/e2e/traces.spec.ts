import type { Page } from '@playwright/test';
import { accessibilityFaults, expect, layoutShift, overflow, picture, signIn, test, traceId } from './page';

const bagTag = traceId ?? '';
/** An air waybill whose six events were each sent twice, the second one corrected by the third. */
const airWaybill = process.env.RASTRO_E2E_AWB ?? '';

// Looking for faults of access in both themes takes its time.
test.describe.configure({ timeout: 300_000 });
test.skip(!airWaybill, 'RASTRO_E2E_AWB names no air waybill');

/** Nothing wrong for whoever cannot see well, in either theme, and nothing wider than the window. */
async function clean(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await accessibilityFaults(page), `axe in the ${colorScheme} theme`).toEqual([]);
  }
  expect(await overflow(page)).toBeLessThanOrEqual(0);
}

const theme = (page: Page, project: string) =>
  page.emulateMedia({ colorScheme: project.endsWith('dark') ? 'dark' : 'light' });

const events = (page: Page) => page.getByTestId('timeline').getByRole('button');

test('a bag is found by its tag, and tells what became of it', async ({ page }, info) => {
  await signIn(page, 'traces');
  await expect(page.getByRole('heading', { level: 1, name: 'Trazas' })).toBeVisible();
  await expect(page.getByRole('rowheader').first()).toBeVisible();
  expect(await layoutShift(page)).toBeLessThan(0.02);
  await clean(page);
  await theme(page, info.project.name);
  await picture(page, 'traces', info.project.name);

  const box = page.getByLabel('Buscar por identificador');
  await box.fill(bagTag);
  await expect(page.getByText('Parece una etiqueta de equipaje.')).toBeVisible();
  await box.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/traces/${bagTag}`));
  await expect(page.getByTestId('trace-status')).toContainText('Entregado');
  await expect(page.getByRole('img', { name: 'Mapa del viaje: Lima, New York' })).toBeVisible();
  await expect(events(page)).toHaveCount(6);
  await expect(page.getByText(/sin eventos/).first()).toBeVisible();
  await clean(page);
});

test('a consignment is found by its air waybill, with copies and corrections explained', async ({ page }, info) => {
  await signIn(page, 'traces');
  const box = page.getByLabel('Buscar por identificador');
  // Without its hyphen, as people write it.
  await box.fill(airWaybill.replace('-', ''));
  await box.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/traces/${airWaybill}`));
  await expect(events(page)).toHaveCount(6);
  const row = (n: number) => page.getByTestId('timeline').locator('li:has(button)').nth(n);
  await expect(row(0)).toContainText('×2');
  await expect(row(1)).toContainText('Reemplazado por');
  await expect(row(2)).toContainText('datos incorrectos');
  await expect(row(4)).toContainText('Código sin traducción');

  await events(page).nth(1).click();
  const panel = page.getByTestId('event-panel');
  await expect(panel).toContainText('9007199254740993');
  await panel.getByText('Hex', { exact: true }).click();
  await expect(panel).toContainText('00000000');
  await panel.getByRole('tab', { name: 'Pasaporte' }).click();
  const passport = page.getByTestId('passport');
  await expect(passport).toContainText('Guardado');
  await expect(passport).toContainText('tracking › persist');
  await expect(passport).toContainText('Llegó 1 vez más');
  await expect(passport).toContainText('LA-cargo lo envió otra vez');
  await clean(page);
  await theme(page, info.project.name);
  await picture(page, 'passport', info.project.name);
});

test('a trace goes back in time, and the link keeps when', async ({ page }, info) => {
  await signIn(page, `traces/${airWaybill}`);
  await expect(events(page)).toHaveCount(6);
  const slider = page.getByRole('slider', { name: 'Ver en el tiempo' });
  await slider.focus();
  await slider.press('Home');
  await expect(page).toHaveURL(/[?&]asOf=/);
  await expect(events(page)).toHaveCount(1);
  await expect(page.getByTestId('trace-status')).toContainText('Anunciado');
  await expect(page.getByText('5 eventos posteriores no se muestran.')).toBeVisible();
  await clean(page);
  await theme(page, info.project.name);
  await picture(page, 'past', info.project.name);
  await page.reload();
  await expect(events(page)).toHaveCount(1);
  await page.getByRole('button', { name: 'Volver a ahora' }).click();
  await expect(events(page)).toHaveCount(6);
  await expect(page).not.toHaveURL(/asOf=/);
});

test('filters stand in the address and survive a reload', async ({ page }) => {
  await signIn(page, 'traces');
  await page.getByRole('button', { name: /^Tipo/ }).click();
  await page.getByRole('checkbox', { name: 'Carga' }).check();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Lugar/ }).click();
  await page.getByRole('combobox', { name: 'Lugar' }).fill('JFK');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await expect(page).toHaveURL(/kind=cargo.*location=JFK|location=JFK.*kind=cargo/);
  await expect(page.getByRole('link', { name: airWaybill })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('button', { name: 'Quitar Tipo: Carga' })).toBeVisible();
  await expect(page.getByRole('link', { name: airWaybill })).toBeVisible();
  await expect(page.getByRole('link', { name: bagTag })).toHaveCount(0);
  await expect(page.getByRole('link', { name: airWaybill })).toBeVisible();
});

test('what comes in is counted and moves no row', async ({ page }) => {
  await signIn(page, 'traces?sort=updated');
  const rows = page.getByRole('rowheader');
  await expect(rows.first()).toBeVisible();
  const before = await rows.allTextContents();
  await expect(page.getByTestId('news')).toBeVisible();
  expect(await rows.allTextContents()).toEqual(before);
  await page.getByTestId('news').click();
  await expect(async () => expect(await rows.allTextContents()).not.toEqual(before)).toPass();
});

test('an export is the whole of what was found', async ({ page }) => {
  await signIn(page, `traces/${airWaybill}`);
  await page.getByRole('button', { name: 'Exportar' }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: 'Filas (NDJSON)' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe(`rastro-${airWaybill}.ndjson`);
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  const lines = Buffer.concat(chunks).toString().trim().split('\n');
  expect(lines).toHaveLength(6);
  expect(lines.join()).toContain('9007199254740993');
});

test('carriers say how they do, and the tenant what it may', async ({ page }, info) => {
  await signIn(page, 'carriers');
  const row = page.getByTestId('carrier').filter({ hasText: 'LA-cargo' });
  await expect(row).toBeVisible();
  expect(await layoutShift(page)).toBeLessThan(0.02);
  await row.getByRole('button').click();
  const detail = page.getByRole('region', { name: 'LA-cargo' });
  await expect(detail).toContainText('QQX');
  await expect(detail).toContainText(/copias?, /);
  await clean(page);
  await theme(page, info.project.name);
  await picture(page, 'carriers', info.project.name);
  await page.reload();
  await expect(page.getByRole('region', { name: 'LA-cargo' })).toBeVisible();
  await page.getByRole('tab', { name: 'Organización' }).click();
  await expect(page.getByTestId('tenant')).toContainText('talma-pe');
  await clean(page);
});

test('the configuration is shown as it is written', async ({ page }, info) => {
  await signIn(page, 'config');
  const yaml = page.getByTestId('yaml');
  await expect(yaml).toContainText('pipeline: tracking');
  await expect(page.getByText('Válida', { exact: true })).toBeVisible();
  await clean(page);
  await theme(page, info.project.name);
  await picture(page, 'config', info.project.name);
  await page.getByRole('tab', { name: 'Auditoría' }).click();
  await expect(page.getByRole('heading', { name: 'Lo que se hizo a mano' })).toBeVisible();
  await clean(page);
  await page.getByRole('tab', { name: 'Preferencias' }).click();
  await page.getByRole('radio', { name: 'UTC' }).check();
  await expect(page.getByText(/^Ahora: .* UTC$/)).toBeVisible();
  await clean(page);
  await page.reload();
  await expect(page.getByRole('radio', { name: 'UTC' })).toBeChecked();
});
