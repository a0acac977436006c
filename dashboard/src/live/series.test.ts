import { describe, expect, it } from 'vitest';
import {
  append,
  balance,
  capacity,
  chartStart,
  lastingOver,
  lastWindow,
  merge,
  rateAt,
  rateSeries,
  type Sample,
} from './series';

const at = (s: number, accepted: number, extra: Partial<Sample> = {}): Sample => ({
  at: s * 1000,
  accepted,
  stored: accepted,
  duplicates: 0,
  deadLetters: 0,
  dropped: 0,
  ...extra,
});

const wire = (s: number, n: number) => ({
  at: new Date(s * 1000).toISOString(),
  accepted: n,
  stored: n,
  duplicates: 0,
  dead_letters: 0,
});

describe('samples', () => {
  it('are appended in order, once', () => {
    const one = append([], at(1, 10));
    expect(append(one, at(1, 11))).toBe(one);
    expect(append(one, at(0, 5))).toBe(one);
    expect(append(one, at(2, 20)).map((s) => s.accepted)).toEqual([10, 20]);
  });

  it('are bounded', () => {
    let samples: readonly Sample[] = [];
    for (let i = 0; i < capacity + 50; i++) samples = append(samples, at(i, i));
    expect(samples).toHaveLength(capacity);
    expect(samples.at(-1)?.accepted).toBe(capacity + 49);
  });

  it('come from a history in any order', () => {
    const samples = merge([], [wire(3, 30), wire(1, 10), wire(3, 31), { ...wire(2, 20), at: 'nonsense' }]);
    expect(samples.map((s) => s.at / 1000)).toEqual([1, 3]);
  });

  it('are kept where a coarser history comes, which fills what lies around', () => {
    const known = [at(100, 10), at(101, 11), at(102, 12)];
    const samples = merge(known, [wire(60, 5), wire(101, 99), wire(120, 30), wire(140, 40)]);
    expect(samples.map((s) => [s.at / 1000, s.accepted])).toEqual([
      [60, 5],
      [100, 10],
      [101, 11],
      [102, 12],
      [120, 30],
      [140, 40],
    ]);
  });

  it('give way to the history of a server that began anew', () => {
    expect(merge([at(100, 500)], [wire(140, 3)]).map((s) => s.accepted)).toEqual([3]);
  });
});

describe('rates', () => {
  it('are means over the window', () => {
    const samples = [at(0, 0), at(1, 100), at(2, 100), at(3, 400)];
    expect(rateAt(samples, 'accepted', 1000)).toBe(300);
    expect(rateAt(samples, 'accepted', 3000)).toBeCloseTo(133.33, 1);
    expect(rateAt(samples, 'accepted', 60_000)).toBeCloseTo(133.33, 1);
  });

  it('are means since the sample before, when that is further away than the window', () => {
    expect(rateAt([at(0, 0), at(60, 600)], 'accepted', 5_000)).toBe(10);
    expect(rateAt([at(0, 0), at(60, 600), at(61, 671)], 'accepted', 5_000)).toBe(11);
  });

  it('are unknown with one sample and over a new beginning', () => {
    expect(rateAt([], 'accepted', 1000)).toBeUndefined();
    expect(rateAt([at(0, 5)], 'accepted', 1000)).toBeUndefined();
    expect(rateAt([at(0, 500), at(1, 3)], 'accepted', 1000)).toBeUndefined();
    expect(rateAt([at(0, 1), at(1, 500), at(2, 3), at(3, 5)], 'accepted', 10_000)).toBe(2);
  });

  it('draw no line over a new beginning', () => {
    const series = rateSeries([at(0, 0), at(1, 10), at(2, 3), at(3, 5)], ['accepted'], 1000);
    expect(series.at).toEqual([1, 2, 3]);
    expect(series.rates.accepted).toEqual([10, null, 2]);
  });

  it('are cut to a window with the sample before it', () => {
    const samples = Array.from({ length: 100 }, (_, i) => at(i, i));
    const cut = lastWindow(samples, 10_000);
    expect(cut[0]?.at).toBe(88_000);
    expect(lastWindow([], 1000)).toEqual([]);
  });
});

describe('chartStart', () => {
  const idle = (n: number) => Array.from({ length: n }, (_, i) => at(i, 0));

  it('is the whole window while nothing or everything moves', () => {
    expect(chartStart(idle(600), 300_000)).toBe(299_000);
    expect(chartStart([], 300_000)).toBe(0);
    const busy = Array.from({ length: 600 }, (_, i) => at(i, i));
    expect(chartStart(busy, 300_000)).toBe(299_000);
  });

  it('is just before the first event, and a minute ago at least', () => {
    const started = [...idle(450), ...Array.from({ length: 150 }, (_, i) => at(450 + i, i + 1))];
    expect(chartStart(started, 300_000)).toBe(449_000);
    const justNow = [...idle(595), at(595, 1), at(596, 2)];
    expect(chartStart(justNow, 300_000)).toBe(536_000);
  });
});

describe('balance', () => {
  it('puts what is not settled in flight; duplicates are among what is dropped', () => {
    const b = balance(at(0, 100, { stored: 80, duplicates: 9, deadLetters: 1, dropped: 11 }));
    expect(b).toMatchObject({ dropped: 2, inFlight: 8, over: 0 });
  });

  it('says when more was settled than accepted', () => {
    expect(balance(at(0, 100, { stored: 103 }))).toMatchObject({ inFlight: 0, over: 3 });
  });

  it('takes a server that does not count drops', () => {
    expect(balance(at(0, 100, { stored: 95, duplicates: 5, dropped: undefined }))).toMatchObject({
      dropped: 0,
      inFlight: 0,
    });
  });

  it('is off only when it is off for a while', () => {
    const over = (s: number, n: number) => at(s, 100, { stored: 100 + n });
    const lasting = Array.from({ length: 20 }, (_, i) => over(i, 3 + (i % 2)));
    expect(lastingOver(lasting, 10_000)).toBe(3);
    expect(lastingOver([...lasting.slice(0, 15), over(15, 0), ...lasting.slice(16)], 10_000)).toBe(0);
    expect(lastingOver(lasting.slice(0, 5), 10_000)).toBe(0);
  });
});
