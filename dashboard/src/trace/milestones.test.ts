import { describe, expect, it } from 'vitest';
import type { Milestone } from '../api/types';
import { event, trace } from '../test/trace';
import { pieceShares, steps } from './milestones';

const reached = (...list: Milestone[]) =>
  list.map((milestone, i) => {
    const at = `2025-11-20T1${i}:00:00Z`;
    return { milestone, first_at: at, last_at: at, count: 1 };
  });

const states = (...args: Parameters<typeof trace>) => steps(trace(...args)).map((s) => `${s.milestone} ${s.state}`);

describe('steps', () => {
  it('are those of the trade', () => {
    expect(states([], { status: 'loaded', milestones: reached('accepted', 'loaded') })).toEqual([
      'accepted reached',
      'processing skipped',
      'loaded current',
      'in_transit pending',
      'arrived pending',
      'available pending',
      'delivered pending',
    ]);
  });

  it('add what else was reached', () => {
    const list = states([], { kind: 'parcel', status: 'transfer', milestones: reached('accepted', 'transfer') });
    expect(list).toContain('transfer current');
    expect(list).toContain('arrived skipped');
  });

  it('go back when a new leg begins', () => {
    const list = states([], { status: 'loaded', milestones: reached('accepted', 'loaded', 'in_transit', 'arrived') });
    expect(list).toContain('loaded current');
    expect(list).toContain('in_transit beyond');
    expect(list).toContain('delivered pending');
  });

  it('end where the journey ended otherwise', () => {
    const list = states([], { status: 'lost', milestones: reached('accepted', 'loaded', 'lost') });
    expect(list).toEqual(['accepted reached', 'processing skipped', 'loaded reached', 'lost current']);
  });

  it('know nothing of a journey without milestones', () => {
    expect(
      states([], { status: 'unknown', kind: undefined, milestones: null }).every((s) => s.endsWith('pending')),
    ).toBe(true);
  });

  it('take the local time from the event that got there first', () => {
    const first = event({ milestone: 'loaded', timestamp: '2025-11-20T05:00:00-05:00' });
    const voided = event({ milestone: 'loaded', timestamp: '2025-11-20T05:00:00-05:00', voided: true });
    const loaded = steps(trace([voided, first], { status: 'loaded', milestones: reached('loaded') })).find(
      (s) => s.milestone === 'loaded',
    );
    expect(loaded?.event?.uid).toBe(first.uid);
  });
});

describe('pieceShares', () => {
  it('count each piece once, at the furthest it has come', () => {
    const by_milestone = { accepted: 10, in_transit: 8, arrived: 8, delivered: 5 };
    expect(pieceShares({ total: 10, by_milestone })).toEqual([
      { milestone: 'delivered', pieces: 5 },
      { milestone: 'arrived', pieces: 3 },
      { milestone: 'accepted', pieces: 2 },
    ]);
  });

  it('leave the rest without news and never exceed the total', () => {
    expect(pieceShares({ total: 4, by_milestone: { accepted: 1 } })).toEqual([
      { milestone: 'accepted', pieces: 1 },
      { milestone: undefined, pieces: 3 },
    ]);
    expect(pieceShares({ total: 4, by_milestone: { delivered: 9 } })).toEqual([{ milestone: 'delivered', pieces: 4 }]);
    expect(pieceShares({ total: 2, by_milestone: null })).toEqual([{ milestone: undefined, pieces: 2 }]);
  });
});
