import {
  type CSSVariablesResolver,
  createTheme,
  localStorageColorSchemeManager,
  type MantineColorsTuple,
} from '@mantine/core';

/** Where the chosen colour scheme is kept; public/boot.js reads it too. */
export const colorSchemeKey = 'rastro.color-scheme';
export const colorSchemeManager = localStorageColorSchemeManager({ key: colorSchemeKey });

const brand: MantineColorsTuple = [
  '#e8f2fd',
  '#cfe3f8',
  '#a3c9f0',
  '#74ade8',
  '#6db3f2',
  '#3b8adb',
  '#2377ca',
  '#1668b9',
  '#0b5cad',
  '#084a8c',
];

/** Mantine's own dark greys are neutral; these have the hue of the page. */
const dark: MantineColorsTuple = [
  '#e6ebf3',
  '#c3ccda',
  '#9aa7bb',
  '#7d8ba1',
  '#40506a',
  '#2a3548',
  '#1c2636',
  '#161e2b',
  '#121926',
  '#0f1520',
];

export const theme = createTheme({
  colors: { brand, dark },
  primaryColor: 'brand',
  // The lightest shade that white text stands on with enough contrast, in both schemes.
  primaryShade: 8,
  defaultRadius: 8,
  fontFamily: '"Inter Variable", "Inter Fallback", system-ui, sans-serif',
  fontFamilyMonospace: 'var(--mono)',
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  respectReducedMotion: true,
  cursorType: 'pointer',
  focusRing: 'auto',
});

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-text': 'var(--text)',
    '--mantine-color-dimmed': 'var(--text-2)',
    '--mantine-color-placeholder': 'var(--text-2)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-anchor': 'var(--brand)',
  },
  dark: {
    '--mantine-color-text': 'var(--text)',
    '--mantine-color-dimmed': 'var(--text-2)',
    '--mantine-color-placeholder': 'var(--text-2)',
    '--mantine-color-default': 'var(--surface-2)',
    '--mantine-color-default-border': 'var(--line-strong)',
    '--mantine-color-anchor': 'var(--brand)',
  },
});

/** Tells the nonce to the library that stops the page from scrolling behind a dialog: it writes a style element of its own. */
export function shareStyleNonce(): void {
  const nonce = styleNonce();
  if (nonce) Object.assign(globalThis, { __webpack_nonce__: nonce });
}

/** The nonce with which the page's content security policy lets a style element in; undefined where there is none. */
export const styleNonce = (): string | undefined =>
  document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content || undefined;
