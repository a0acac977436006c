import { describe, expect, it } from 'vitest';
import { absolute, bounds, parseRange, rangeText, relative, shifted, windowOf } from './range';

const now = Date.UTC(2026, 5, 20, 12, 0, 0);

describe('ranges', () => {
  it('stand in an address and come back as they were', () => {
    for (const range of [relative('1h'), relative('7d'), absolute(now - 90_000, now)])
      expect(parseRange(rangeText(range))).toEqual(range);
    expect(rangeText(relative('15m'))).toBeUndefined();
  });

  it('are the usual one when the address says nothing sensible', () => {
    for (const text of [undefined, 'x', '2026-01-01--', '2026-01-02T00:00:00Z--2026-01-01T00:00:00Z'])
      expect(parseRange(text)).toEqual(relative('15m'));
  });

  it('keep milliseconds, and are never longer than figures are kept', () => {
    const range = parseRange('2026-06-20T11:58:00.125Z--2026-06-20T12:00:00.250Z');
    expect(bounds(range, now)).toEqual({ from: now - 119_875, to: now + 250 });
    expect(absolute(0, now).ms).toBe(8 * 86_400_000);
    expect(absolute(now - 1, now).ms).toBe(60_000);
  });

  it('move by half, but not into the future', () => {
    const earlier = shifted(relative('1h'), -1, now);
    expect(bounds(earlier, now)).toEqual({ from: now - 5_400_000, to: now - 1_800_000 });
    expect(bounds(shifted(earlier, 1, now), now).to).toBe(now);
    expect(bounds(shifted(relative('1h'), 1, now), now).to).toBe(now);
  });

  it('are windows of a minute to a day', () => {
    expect([relative('5m'), relative('7d'), absolute(now - 1, now)].map(windowOf)).toEqual(['5m', '1440m', '1m']);
  });
});
