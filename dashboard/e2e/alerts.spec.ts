import { accessibilityFaults, expect, layoutShift, overflow, picture, signIn, test } from './page';

/** How far ahead of the clock an event may be, in milliseconds, and a little more: the pipeline's future_skew. */
const tooFarAhead = 3_600_000;

test('an alert comes by itself, leads to what it is about, and is silenced', async ({ page, isMobile }, info) => {
  const source = `e2e-${info.project.name}-${Date.now()}`;
  const name = new RegExp(`Se rechaza el .* de lo que envía ${source}`);
  await signIn(page);
  await page.goto('alerts');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Alertas');
  await expect(page.getByText(/Comprobado a las/)).toBeVisible();

  // Half of what comes from somebody new is too far ahead.
  const sent = await page.request.post('api/v1/events', {
    headers: { 'X-Rastro-CSRF': '1', 'Sec-Fetch-Site': 'same-origin' },
    data: Array.from({ length: 40 }, (_, i) => ({
      correlation_id: `${source}-${i}`,
      aggregate_id: `${source}-${i}`,
      event_type: 'loaded',
      source,
      event_id: `${source}-${i}`,
      timestamp: new Date(Date.now() + (i % 2) * tooFarAhead).toISOString(),
      payload: { location: 'LIM' },
    })),
  });
  expect(sent.status(), await sent.text()).toBe(202);

  const alert = page.getByTestId(`alert-carrier-rejected:${source}`);
  await expect(alert).toBeVisible({ timeout: 90_000 }); // the page is told, and nobody loads it anew
  await expect(alert).toHaveAttribute('data-health', 'bad');
  await expect(alert).toContainText('límite 1');
  await expect(alert.getByRole('link', { name: /Qué hacer/ })).toHaveAttribute(
    'href',
    /runbooks\/RastroDeadLetters\.md$/,
  );
  await expect(page.getByTestId('alerts-badge').filter({ visible: true }).first()).toHaveText(/\d/);
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await picture(page, 'alerts', info.project.name);

  await alert.getByRole('button', { name: 'Silenciar' }).click();
  const dialog = page.getByTestId('silence');
  await expect(dialog).toContainText(name);
  await expect(dialog.getByTestId('confirm-silence')).toBeDisabled(); // not without a reason
  await dialog.getByText('4 h', { exact: true }).click();
  await dialog.getByRole('textbox', { name: /Por qué/ }).fill('Un envío de prueba');
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await picture(page, 'silence', info.project.name);
  await dialog.getByTestId('confirm-silence').click();
  await expect(dialog).toHaveCount(0);

  const silenced = page.getByTestId('alerts-silenced');
  await silenced.locator('summary').click();
  await expect(silenced.getByTestId(`alert-carrier-rejected:${source}`)).toContainText('Un envío de prueba');
  expect(await accessibilityFaults(page)).toEqual([]);
  await silenced
    .getByTestId(`alert-carrier-rejected:${source}`)
    .getByRole('button', { name: 'Quitar el silencio' })
    .click();
  await expect(alert.getByRole('button', { name: 'Silenciar' })).toBeVisible();

  await alert.getByRole('link', { name }).click();
  await expect(page).toHaveURL(new RegExp(`/dead-letters\\?.*source=${source}`));
  await page.goto('./');
  await expect(page.getByTestId('attention')).toContainText(/Se rechaza el|y \d+ avisos? más|espera/);
  await expect(page.getByTestId('topology')).toBeVisible();
  expect(await layoutShift(page)).toBeLessThan(0.02);
  if (isMobile) {
    await page
      .getByRole('banner')
      .getByRole('link', { name: /^Alertas/ })
      .click();
  } else {
    await page.keyboard.press('g');
    await page.keyboard.press('a');
  }
  await expect(page).toHaveURL(/\/alerts$/);
  await page.getByText('Qué se vigila').click();
  await expect(page.getByTestId('watched')).toContainText('Transportistas callados');
  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
});
