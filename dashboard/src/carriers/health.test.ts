import { describe, expect, it } from 'vitest';
import { carrier } from '../test/carriers';
import { sorted } from './health';

describe('sorted', () => {
  const list = [
    carrier('a', { error_share: 0.5, health: 'failing' }),
    carrier('b', { silent: true, silent_ms: 200_000, health: 'silent' }),
    carrier('c', { silent: true, silent_ms: 900_000, health: 'silent' }),
    carrier('d', { error_share: undefined, usual_gap_ms: undefined, health: 'unknown' }),
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
