import { readdirSync, readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { accessibilityFaults, expect, layoutShift, numberIn, overflow, picture, signIn, test } from './page';

/** What each page must hold, whatever it shows. */
async function isWellMade(page: Page): Promise<void> {
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
}

test('the topology is live and leads to its stages', async ({ page }, info) => {
  await signIn(page);
  const dedupe = page.getByTestId('stage-tracking.dedupe');
  await expect(dedupe).toBeVisible();
  await expect(page.getByTestId('attention')).not.toBeEmpty();
  const total = page.getByTestId('kpi-total');
  await expect(total).toHaveText(/\d/);
  const first = numberIn(await total.textContent());
  await expect(async () => expect(numberIn(await total.textContent())).toBeGreaterThan(first)).toPass();
  await expect(page.getByTestId('latency-chart').locator('canvas')).toBeVisible();
  await isWellMade(page);
  expect(await layoutShift(page)).toBeLessThan(0.02);

  await dedupe.click();
  await expect(page).toHaveURL(/\/stages\/tracking\.dedupe$/);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('dedupe');
  await expect(page.getByTestId('outcomes-chart').locator('canvas')).toBeVisible();
  await expect(page.getByRole('list', { name: 'Reparto de la latencia' })).toBeVisible();
  await isWellMade(page);
  await picture(page, 'stage', info.project.name);

  await page.getByRole('link', { name: 'Configuración' }).last().click();
  await expect(page.getByText('window: 72h')).toBeVisible();
  await isWellMade(page);
  await page.getByRole('link', { name: 'Muestra en vivo' }).click();
  await expect(page.getByTestId('samples').getByRole('button').first()).toBeVisible({ timeout: 40_000 });
  await isWellMade(page);
  await picture(page, 'samples', info.project.name);
});

test('stages and queues are listed, what is worse first', async ({ page }, info) => {
  await signIn(page, 'stages');
  await expect(page.getByTestId('stages').getByRole('link', { name: 'tracking.persist' })).toBeVisible();
  await isWellMade(page);
  await picture(page, 'stages', info.project.name);
  await page.goto('queues');
  const queues = page.getByTestId('queues');
  await expect(queues.getByText('events.ingested')).toBeVisible();
  await queues.getByRole('button', { name: 'Cola', exact: true }).click();
  await expect(queues.getByRole('columnheader', { name: 'Cola', exact: true })).toHaveAttribute(
    'aria-sort',
    'ascending',
  );
  await expect(queues.locator('tbody tr').first()).toContainText('events.ingested');
  await isWellMade(page);
  expect(await layoutShift(page)).toBeLessThan(0.02);
  await picture(page, 'queues', info.project.name);
});

/** How far ahead of the clock an event may be, in milliseconds: the pipeline's future_skew. */
const allowedAhead = 300_000;

test('a dead letter is looked at, tried and redriven', async ({ page }, info) => {
  const id = `E2E-${info.project.name}-${Date.now()}`;
  await signIn(page);
  // Too far ahead when it comes, and not any more a little later: just what redriving is for.
  const sent = await page.request.post('api/v1/events', {
    headers: { 'X-Rastro-CSRF': '1', 'Sec-Fetch-Site': 'same-origin' },
    data: {
      correlation_id: id,
      aggregate_id: id,
      event_type: 'loaded',
      source: 'e2e',
      event_id: id,
      timestamp: new Date(Date.now() + allowedAhead + 20_000).toISOString(),
      payload: { location: 'LIM', scanId: 'n' },
    },
  });
  expect(sent.status(), await sent.text()).toBe(202);

  await page.goto(`dead-letters?correlationId=${id}`);
  const letter = page.getByTestId('letters').getByRole('button', { name: /future/ });
  await expect(async () => {
    await page.reload();
    await expect(letter).toBeVisible({ timeout: 4_000 });
  }).toPass({ timeout: 60_000 });
  await isWellMade(page);
  await picture(page, 'dead-letters', info.project.name);

  await letter.click();
  const panel = page.getByTestId('letter');
  await expect(panel).toContainText('/timestamp');
  await expect(panel).toContainText('"scanId": "n"');
  await panel.getByText('Hexadecimal').click();
  await expect(panel).toContainText('00000000  7b 22');
  await isWellMade(page);
  await picture(page, 'letter', info.project.name);

  const dialog = page.getByTestId('action');
  await expect(async () => {
    await panel.getByRole('button', { name: 'Reenviar' }).click();
    await expect(dialog.getByTestId('trial')).toBeVisible();
    try {
      await expect(dialog.getByTestId('trial')).toContainText('pasarían', { timeout: 3_000 });
    } catch (error) {
      await dialog.getByRole('button', { name: 'Cancelar' }).click();
      throw error;
    }
  }).toPass({ timeout: 60_000, intervals: [2_000] });
  await expect(dialog.getByTestId('confirm')).toBeDisabled(); // not without a reason
  await dialog.getByRole('textbox', { name: /Por qué/ }).fill('El reloj del remitente iba adelantado');
  await isWellMade(page);
  await picture(page, 'redrive', info.project.name);
  await dialog.getByTestId('confirm').click();

  await expect(page).toHaveURL(/view=jobs/);
  await expect(page.getByTestId('job-done').first()).toContainText('1 de 1');
  const stored = page.getByTestId('job-outcomes').locator('[data-kind="stored"]');
  await expect(stored).toContainText('1');
  await isWellMade(page);
  await picture(page, 'jobs', info.project.name);
  await page.getByRole('link', { name: 'Auditoría' }).click();
  await expect(page.getByTestId('audit')).toContainText('El reloj del remitente iba adelantado');
  await isWellMade(page);
  await picture(page, 'audit', info.project.name);
  await page.goto(`traces/${id}`);
  await expect(page.getByTestId('timeline').getByRole('button').first()).toBeVisible();
});

test('a code that nothing knows is given its meaning, and its trace moves', async ({ page }, info) => {
  const id = `E2E-CODE-${info.project.name}-${Date.now()}`;
  const code = `X/${info.project.name}.${Date.now()}-Arrived`;
  await signIn(page);
  const sent = await page.request.post('api/v1/events', {
    headers: { 'X-Rastro-CSRF': '1', 'Sec-Fetch-Site': 'same-origin' },
    data: {
      correlation_id: id,
      aggregate_id: id,
      event_type: code,
      source: 'e2e-codes',
      event_id: id,
      timestamp: new Date().toISOString(),
      payload: { location: 'LIM' },
    },
  });
  expect(sent.status(), await sent.text()).toBe(202);
  await page.goto('carriers?tab=inbox');
  const item = page.getByTestId('inbox').getByRole('listitem').filter({ hasText: code });
  await expect(async () => {
    await page.reload();
    await expect(item).toBeVisible({ timeout: 4_000 });
  }).toPass({ timeout: 60_000 });
  await item.getByText(code).first().click();
  await expect(item).toContainText('Propuesta, con');
  await expect(item.getByText(`"${code}": arrived`)).toBeVisible();
  await expect(item.getByRole('link', { name: id })).toHaveAttribute('href', new RegExp(`/traces/${id}\\?event=`));
  await isWellMade(page);
  await picture(page, 'codes', info.project.name);

  await item.getByRole('button', { name: 'Aplicar…' }).click();
  const dialog = page.getByTestId('decide');
  await dialog.getByRole('textbox', { name: 'Motivo' }).fill('Lo dice su lista');
  await isWellMade(page);
  await picture(page, 'codes-apply', info.project.name);
  await dialog.getByTestId('confirm').click();
  await expect(dialog.getByTestId('refold-done')).toContainText('1 traza recalculada');
  await dialog.getByRole('button', { name: 'Cerrar' }).click();
  await expect(item).toHaveCount(0);
  await page.goto(`traces/${id}`);
  await expect(page.getByTestId('timeline').getByRole('button').first()).toBeVisible();
  await expect(page.getByRole('main')).toContainText('Llegó');
});

test('everything is reached with the keyboard alone', async ({ page, isMobile }) => {
  test.skip(isMobile, 'there is no keyboard');
  await signIn(page);
  await expect(page.getByTestId('topology')).toBeVisible();
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog');
  await expect(palette).toBeVisible();
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.keyboard.type('etapas');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/stages$/);
  await expect(palette).toHaveCount(0); // while it fades, what is typed is still typed into it
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  await expect(page).toHaveURL(/\/queues$/);
  await page.keyboard.press('p');
  await expect(page.getByTestId('connection')).toHaveText('Detenido');
  await page.keyboard.press('p');
  await expect(page.getByTestId('connection')).toHaveText('En vivo');
  await page.keyboard.press('[');
  await expect(page).toHaveURL(/range=/);
  await page.goto('./');
  await expect(page.getByTestId('topology')).toBeVisible();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // to the content, past the frame
  await expect(page.locator('#content')).toBeFocused();
  for (
    let i = 0;
    i < 40 && !(await page.evaluate(() => document.activeElement?.getAttribute('data-testid')?.startsWith('stage-')));
    i++
  ) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/stages\/tracking\./);
});

test('the wall view has no frame, and theme and language hold in it', async ({ page, isMobile }, info) => {
  test.skip(isMobile, 'walls are wide');
  await signIn(page);
  await page.getByRole('button', { name: 'Cambiar a tema oscuro' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', 'dark');
  await page.getByText('EN', { exact: true }).click();
  await page.getByRole('button', { name: 'Wall view' }).click();
  await expect(page.getByRole('navigation')).toHaveCount(0);
  await expect(page.getByTestId('topology')).toBeVisible();
  await isWellMade(page);
  await picture(page, 'wall', info.project.name);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('navigation')).toBeVisible();
  await isWellMade(page);
  await picture(page, 'overview-dark', info.project.name);
});

const postmaster = process.env.RASTRO_E2E_POSTGRES;

/** The processes of a PostgreSQL: the first of them, and all that it has begun. */
function processesOf(first: string): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/stat`, 'utf8')
            .replace(/^.*\) /, '')
            .split(' ')[1] === first
        );
      } catch {
        return false; // it has ended meanwhile
      }
    });
  return [first, ...children].map(Number);
}

test('a database that stands still is said, and what was known stays', async ({ page, faults }, info) => {
  test.skip(!postmaster, 'RASTRO_E2E_POSTGRES must be the id of the process of PostgreSQL');
  await signIn(page);
  await expect(page.getByTestId('topology')).toBeVisible();
  await expect(page.getByTestId('connection')).toHaveText('En vivo');
  await expect(page.getByTestId('count-stored')).toHaveText(/\d/); // it has heard of now, not only of what was before
  const stopped = processesOf(postmaster ?? '');
  for (const pid of stopped) process.kill(pid, 'SIGSTOP');
  try {
    await expect(page.getByRole('alert').filter({ hasText: 'Datos de hace' })).toBeVisible({ timeout: 30_000 });
    await expect(page.getByTestId('connection')).not.toHaveText('En vivo');
    await expect(page.getByTestId('topology')).toBeVisible();
    await expect(page.getByTestId('count-stored')).toHaveText(/\d/);
    expect(await accessibilityFaults(page)).toEqual([]);
    await picture(page, 'database-stopped', info.project.name);
  } finally {
    for (const pid of stopped) process.kill(pid, 'SIGCONT');
  }
  await expect(page.getByTestId('connection')).toHaveText('En vivo', { timeout: 60_000 });
  await expect(page.getByText('Datos de hace')).toHaveCount(0);
  // The browser notes what the server answered meanwhile; that it did is what this test is about.
  for (let i = faults.length - 1; i >= 0; i--) if (/status of (50[0-9]|429)/.test(faults[i] ?? '')) faults.splice(i, 1);
});
