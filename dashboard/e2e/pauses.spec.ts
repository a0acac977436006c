import { accessibilityFaults, expect, overflow, picture, signIn, test } from './page';

/** Somebody who runs the system for all tenants. */
const operator = process.env.RASTRO_E2E_OPERATOR ?? 'Eva Soto';
const reason = 'Se muda el almacén';

test('a stage is paused and resumed, and says so wherever it is shown', async ({ page }, info) => {
  const isWellMade = async () => {
    expect(await accessibilityFaults(page)).toEqual([]);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  };
  await signIn(page, 'stages/tracking.persist', operator);
  const pause = page.getByRole('main').getByRole('button', { name: 'Pausar' });
  const resume = page.getByRole('main').getByRole('button', { name: 'Reanudar' });
  await expect(pause.or(resume)).toBeVisible();
  const dialog = page.getByTestId('pause');
  const confirm = dialog.getByTestId('confirm');
  try {
    await pause.click();
    await expect(confirm).toBeDisabled(); // not without a reason
    await dialog.getByRole('textbox', { name: /Por qué/ }).fill(reason);
    await isWellMade();
    await picture(page, 'pause', info.project.name);
    await confirm.click();
    const banner = page.getByTestId('paused');
    await expect(banner).toContainText(operator);
    await expect(banner).toContainText(reason);
    await expect(banner).not.toContainText('ya están parados', { timeout: 60_000 }); // every process has followed
    await isWellMade();
    await picture(page, 'paused', info.project.name);

    await page.goto('./');
    await expect(page.getByTestId('attention')).toContainText(
      `tracking.persist está en pausa, por ${operator}: ${reason}`,
    );
    await expect(page.getByTestId('stage-tracking.persist')).toHaveAttribute('data-health', 'paused');
    await isWellMade();
    await picture(page, 'overview-paused', info.project.name);
    await page.goto('queues');
    const queue = page.getByTestId('queues').locator('tr', { hasText: 'tracking.persist' }).first();
    await expect(queue).toContainText('En pausa');
    await isWellMade();
    await page.goto('stages/tracking.persist');
  } finally {
    // Nothing that comes after may find it paused.
    await expect(pause.or(resume)).toBeVisible();
    if (await resume.isVisible()) {
      await resume.click();
      await confirm.click();
      await expect(dialog).toHaveCount(0);
    }
  }
  await expect(pause).toBeVisible();
  await expect(page.getByTestId('paused')).toHaveCount(0);
  await page.goto('./');
  await expect(page.getByTestId('stage-tracking.persist')).not.toHaveAttribute('data-health', 'paused');
});
