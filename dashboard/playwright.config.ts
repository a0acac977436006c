import { defineConfig, devices } from '@playwright/test';

// The browser tests run against a Rastro that is already running (`rastro dev`), so that they see the embedded files, the
// content security policy, the sign-in and the live stream together.
//
//   RASTRO_E2E_URL         where it is; default http://127.0.0.1:8080
//   RASTRO_E2E_TRACE       a correlation id whose events have been sent; without it the trace is not looked for
//   RASTRO_E2E_USER        the name of the demo user to sign in as; default Rosa Quispe
//   RASTRO_E2E_OPERATOR    the name of the demo user who runs the system for all tenants; default Eva Soto
//   RASTRO_E2E_SCREENSHOT  where to save a picture of the trace; those of other pages go beside it
//   RASTRO_E2E_CHROMIUM    the browser; default /usr/bin/chromium
export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  // A busy machine is slow, not wrong.
  timeout: 300_000,
  expect: { timeout: 40_000 },
  fullyParallel: false,
  workers: 1,
  // One more try, told of as "flaky": a machine that stood still for seconds fails a page that was right to say so.
  retries: 1,
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list']],
  use: {
    baseURL: process.env.RASTRO_E2E_URL ?? 'http://127.0.0.1:8080',
    locale: 'es-ES',
    timezoneId: 'America/Lima',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.RASTRO_E2E_CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
    },
  },
  // Light and wide, dark and narrow: faults of contrast and of geometry rarely show in the same one.
  projects: [
    { name: 'desktop-light', use: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' } },
    {
      name: 'mobile-dark',
      use: { ...devices['Pixel 7'], viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
    },
  ],
});
