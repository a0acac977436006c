import { describe, expect, it } from 'vitest';
import { areaPath, sparkPath } from './Spark';

const xs = (path: string) => [...path.matchAll(/[ML]([\d.]+)/g)].map((match) => Number(match[1]));

describe('a small line', () => {
  it('goes over the whole width', () => {
    expect(xs(sparkPath([1, 2, 3]))).toEqual([0, 60, 120]);
    expect(xs(areaPath([1, 2, 3]))).toEqual([0, 60, 120, 120, 0]);
  });

  it('says nothing of the time of which nothing is known', () => {
    expect(xs(sparkPath([null, null, 2, 3, null]))).toEqual([60, 90]);
    expect(xs(areaPath([null, null, 2, 3, null]))).toEqual([60, 90, 90, 60]);
    expect(areaPath([1, null, 2])).toBe('');
    expect(areaPath([null, null])).toBe('');
  });
});
