import { describe, expect, it } from 'vitest';
import { carrier } from '../test/carriers';
import { type Carrier, healthOf, sorted } from './health';

describe('healthOf', () => {
  it.each([
    [{}, 'fine'],
    [{ silent: true, error_share: 0.5 }, 'silent'],
    [{ error_share: 0.02 }, 'failing'],
    [{ error_share: 0.001, unknown_code_share: 0.05 }, 'unmapped'],
    [{ duplicate_share: 0.4 }, 'repeating'],
    [{ usual_gap_ms: undefined, error_share: undefined }, 'unknown'],
  ] as const)('%o: %s', (change, health) => expect(healthOf(carrier('x', change as Partial<Carrier>))).toBe(health));
});

describe('sorted', () => {
  const list = [
    carrier('a', { error_share: 0.5 }),
    carrier('b', { silent: true, silent_ms: 200_000 }),
    carrier('c', { silent: true, silent_ms: 900_000 }),
    carrier('d', { error_share: undefined, usual_gap_ms: undefined }),
    carrier('e'),
  ];
  const names = (...args: Parameters<typeof sorted>) => sorted(...args).map((c) => c.source);

  it('has the worst first', () => {
    expect(names(list, { by: 'health', up: false })).toEqual(['c', 'b', 'a', 'd', 'e']);
  });

  it('has what is not known last, whichever way', () => {
    expect(names(list, { by: 'errors', up: false })).toEqual(['a', 'b', 'c', 'e', 'd']);
    expect(names(list, { by: 'errors', up: true })).toEqual(['b', 'c', 'e', 'a', 'd']);
  });

  it('goes by name both ways', () => {
    expect(names(list, { by: 'source', up: false })).toEqual(['e', 'd', 'c', 'b', 'a']);
  });
});
