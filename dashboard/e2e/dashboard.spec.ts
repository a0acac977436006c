import {
  accessibilityFaults,
  expect,
  layoutShift,
  numberIn,
  overflow,
  picture,
  signIn,
  test,
  traceId,
  user,
} from './page';

test('the overview counts live', async ({ page }, info) => {
  await signIn(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Resumen' })).toBeVisible();
  await expect(page.getByTestId('connection')).toHaveText('En vivo');

  for (const name of ['count-accepted', 'count-stored']) {
    const counter = page.getByTestId(name);
    await expect(counter).toHaveText(/^[\d.]+$/);
    const first = numberIn(await counter.textContent());
    await expect(async () => expect(numberIn(await counter.textContent())).toBeGreaterThan(first)).toPass();
  }
  await expect(page.getByTestId('throughput-chart').locator('canvas')).toBeVisible();

  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  expect(await layoutShift(page)).toBeLessThan(0.02);
  await picture(page, 'overview', info.project.name);
});

test('a trace is found and tells its story', async ({ page, isMobile }, info) => {
  expect(traceId, 'RASTRO_E2E_TRACE must name a trace').toBeTruthy();
  await signIn(page);
  if (isMobile) await page.getByRole('link', { name: 'Buscar una traza' }).click();
  const box = isMobile
    ? page.getByLabel('Buscar por identificador')
    : page.getByRole('combobox', { name: 'Buscar una traza' }).first();
  await box.fill(traceId ?? '');
  await box.press('Enter');

  await expect(page).toHaveURL(new RegExp(`/traces/${encodeURIComponent(traceId ?? '')}$`));
  await expect(page.getByRole('heading', { level: 1 })).toContainText(traceId ?? '');
  const events = page.getByTestId('timeline').getByRole('button');
  await expect(events.first()).toBeVisible();
  await expect(page.getByTestId('trace-status')).not.toBeEmpty();
  const times = await page
    .getByTestId('timeline')
    .locator('time[datetime*="T"]')
    .evaluateAll((all) => all.map((time) => Date.parse(time.getAttribute('datetime') ?? '')));
  expect(times.length).toBeGreaterThan(0);
  expect(times).toEqual([...times].sort((a, b) => a - b));

  expect(await accessibilityFaults(page)).toEqual([]);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await picture(page, 'trace', info.project.name);

  await events.first().click();
  await expect(page).toHaveURL(/[?&]event=/);
  await expect(page.getByTestId('event-panel')).toBeVisible();
  expect(await accessibilityFaults(page)).toEqual([]);
});

test('a link to a trace survives signing in', async ({ page }) => {
  expect(traceId, 'RASTRO_E2E_TRACE must name a trace').toBeTruthy();
  await signIn(page, `traces/${encodeURIComponent(traceId ?? '')}`);
  await expect(page.getByRole('heading', { level: 1 })).toContainText(traceId ?? '');
  await expect(page.getByTestId('timeline')).toBeVisible();
  expect(await layoutShift(page)).toBeLessThan(0.02);
});

test('language and theme are kept', async ({ page, isMobile }) => {
  await signIn(page);
  if (isMobile) {
    await page.getByRole('button', { name: /^Cuenta de/ }).click();
    await page.getByRole('menuitem', { name: 'English' }).click();
  } else {
    await page.getByText('EN', { exact: true }).click();
  }
  await expect(page.getByRole('heading', { level: 1, name: 'Overview' })).toBeVisible();
  await page.reload();
  await expect(page.getByRole('heading', { level: 1, name: 'Overview' })).toBeVisible();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
});

test('the keys of the page are listed', async ({ page, isMobile }) => {
  test.skip(isMobile, 'there is no keyboard');
  await signIn(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Resumen' })).toBeVisible();
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Atajos de teclado' })).toBeVisible();
  expect(await accessibilityFaults(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await page.keyboard.press('/');
  await expect(page.getByRole('combobox', { name: 'Buscar una traza' }).first()).toBeFocused();
});

test('signing out ends the session', async ({ page }) => {
  await signIn(page);
  await page.getByRole('button', { name: /^Cuenta de/ }).click();
  await page.getByRole('menuitem', { name: 'Cerrar sesión' }).click();
  // Whoever has signed out is asked who they are, and is a stranger to the API.
  await expect(
    page
      .getByRole('button', { name: user })
      .or(page.getByRole('link', { name: user }))
      .first(),
  ).toBeVisible();
  expect((await page.request.get('api/v1/me')).status()).toBe(401);
});
