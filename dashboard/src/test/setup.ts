import '@testing-library/jest-dom/vitest';
import { cleanup, configure } from '@testing-library/react';
import { afterEach, vi } from 'vitest';

// A busy machine is slow, not wrong.
configure({ asyncUtilTimeout: 10_000 });

// What jsdom lacks and Mantine asks for.
window.matchMedia = (query: string) =>
  ({
    matches: query.includes('min-width'), // a wide window that prefers nothing
    media: query,
    onchange: null,
    addEventListener: () => {},
    removeEventListener: () => {},
    addListener: () => {},
    removeListener: () => {},
    dispatchEvent: () => false,
  }) as MediaQueryList;
window.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
};
Element.prototype.scrollIntoView = () => {};
window.scrollTo = () => {};
// Lists draw what is in sight, so that there must be something that it is in sight of.
for (const [name, value] of [
  ['offsetHeight', 800],
  ['offsetWidth', 1_000],
] as const)
  Object.defineProperty(HTMLElement.prototype, name, { configurable: true, value });

// uPlot draws on a canvas.
vi.mock('uplot', () => ({
  default: class {
    static paths = {};
    setData() {}
    setSize() {}
    setScale() {}
    destroy() {}
  },
}));

afterEach(() => {
  cleanup();
  localStorage.clear();
});
