import { describe, expect, it } from 'vitest';
import type { Schema } from '../api/typed';
import { stage } from '../test/operations';
import { laggards, settled } from './lag';

const of = (name: string, health = 'ok', p95 = 0) =>
  stage(name, { health, age: { count: 1, p50_ms: 0, p95_ms: p95, p99_ms: p95, max_ms: p95 } }) as Schema<'Stage'>;

describe('laggards', () => {
  it('are all stages of a short pipeline', () => {
    const few = [of('a'), of('b')];
    expect(laggards(few)).toEqual(few);
  });

  it('of a long one are the worst and then the latest, in their order', () => {
    const many = Array.from({ length: 12 }, (_, i) => of(`s${i}`, i === 11 ? 'bad' : 'ok', i < 6 ? 100 + i : 1));
    expect(laggards(many).map((s) => s.name)).toEqual(['s1', 's2', 's3', 's4', 's5', 's11']);
  });
});

describe('settled', () => {
  it('is all that events end as, and unknown where nothing is known', () => {
    expect(
      settled([
        [1, null, 3],
        [2, null, null],
      ]),
    ).toEqual([3, null, 3]);
    expect(settled([])).toEqual([]);
  });
});
