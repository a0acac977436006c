import { describe, expect, it } from 'vitest';
import { event, trace } from '../test/trace';
import { annotate, inOrder, rows } from './chronology';

const marks = (events: Parameters<typeof annotate>[0], uid: string) => {
  const found = annotate(events).get(uid);
  if (!found) throw new Error(`no marks of ${uid}`);
  return found;
};

describe('inOrder', () => {
  it('is that of occurrence, whatever the zone and whenever received', () => {
    const late = event({ uid: 'a', timestamp: '2025-11-20T10:00:00-05:00', received_at: '2025-11-21T00:00:00Z' });
    const early = event({ uid: 'b', timestamp: '2025-11-20T15:30:00+01:00', received_at: '2025-11-20T15:00:00Z' });
    const micro = event({ uid: 'c', timestamp: '2025-11-20T10:00:00.000001-05:00' });
    expect(inOrder([micro, late, early], 'occurred').map((e) => e.uid)).toEqual(['b', 'a', 'c']);
    expect(inOrder([micro, late, early], 'received').map((e) => e.uid)).toEqual(['b', 'c', 'a']);
  });

  it('goes by milestone, reception and uid where the time is the same', () => {
    const at = { timestamp: '2025-11-20T10:00:00Z' };
    const list = [
      event({ ...at, uid: 'd', milestone: 'arrived' }),
      event({ ...at, uid: 'b', milestone: 'loaded', received_at: '2025-11-20T16:00:00Z' }),
      event({ ...at, uid: 'c', milestone: 'loaded', received_at: '2025-11-20T15:00:00Z' }),
      event({ ...at, uid: 'a', milestone: 'loaded', received_at: '2025-11-20T16:00:00Z' }),
    ];
    expect(inOrder(list, 'occurred').map((e) => e.uid)).toEqual(['c', 'a', 'b', 'd']);
  });

  it('does not depend on the order it is given', () => {
    const list = Array.from({ length: 30 }, (_, i) =>
      event({ uid: `x${i}`, timestamp: `2025-11-20T10:${String((i * 7) % 20).padStart(2, '0')}:00Z` }),
    );
    const once = inOrder(list, 'occurred').map((e) => e.uid);
    expect(inOrder([...list].reverse(), 'occurred').map((e) => e.uid)).toEqual(once);
  });
});

describe('marks', () => {
  it('are late beyond a minute, for what happened and has a time', () => {
    const received = (at: string, change = {}) => event({ uid: 'x', milestone: 'loaded', received_at: at, ...change });
    expect(marks([received('2025-11-20T15:01:00Z')], 'x').late).toBeUndefined();
    expect(marks([received('2025-11-20T15:01:00.001Z')], 'x').late).toBe(60_001);
    expect(marks([received('2025-11-20T16:25:00Z')], 'x').late).toBe(5_100_000);
    expect(marks([received('2025-11-20T23:00:00Z', { time_quality: 'date_only' })], 'x').late).toBeUndefined();
    expect(marks([received('2025-11-20T23:00:00Z', { classifier: 'planned' })], 'x').late).toBeUndefined();
    expect(marks([received('2025-11-20T14:55:00Z')], 'x').ahead).toBe(300_000);
  });

  it('name what replaced or voided an event', () => {
    const wrong = event({ uid: 'wrong', event_id: '1', voided: true });
    const gone = event({ uid: 'gone', event_id: '2', voided: true });
    const right = event({ uid: 'right', event_id: '3', corrects: { kind: 'replace', event_ids: ['1'] } });
    const undo = event({ uid: 'undo', event_id: '4', corrects: { kind: 'void', event_ids: ['2'] } });
    const other = event({ uid: 'other', source: 'other', event_id: '5', corrects: { kind: 'void', event_ids: ['1'] } });
    const all = [wrong, gone, right, undo, other];
    expect(marks(all, 'wrong')).toMatchObject({ out: 'superseded', by: { uid: 'right' } });
    expect(marks(all, 'gone')).toMatchObject({ out: 'voided', by: { uid: 'undo' } });
    expect(marks(all, 'right').corrected.map((e) => e.uid)).toEqual(['wrong']);
    expect(marks(all, 'other').corrected).toEqual([]);
  });

  it('name the revision that stands', () => {
    const first = event({ uid: 'first', event_id: '1', superseded: true, revisionText: '1' });
    const second = event({ uid: 'second', event_id: '1', revisionText: '2' });
    expect(marks([first, second], 'first')).toMatchObject({ out: 'superseded', by: { uid: 'second' } });
    expect(marks([first], 'first')).toEqual({ out: 'superseded', corrected: [] });
  });

  it('tell what came after the end, but not after a part of it', () => {
    const delivered = (change = {}) =>
      event({ uid: 'end', milestone: 'delivered', timestamp: '2025-11-20T12:00:00-05:00', ...change });
    const after = event({ uid: 'after', milestone: 'loaded', timestamp: '2025-11-20T13:00:00-05:00' });
    expect(marks([delivered(), after], 'after').afterEnd).toBe(true);
    expect(marks([delivered({ voided: true }), after], 'after').afterEnd).toBeUndefined();
    expect(marks([delivered({ classifier: 'estimated' }), after], 'after').afterEnd).toBeUndefined();
    const part = delivered({ quantity: { pieces: 5, total_pieces: 10 } });
    expect(marks([part, after], 'after').afterEnd).toBeUndefined();
  });

  it('tell a code without a meaning', () => {
    expect(marks([event({ uid: 'x' })], 'x').unmapped).toBe(true);
    expect(marks([event({ uid: 'x', milestone: 'unknown' })], 'x').unmapped).toBe(true);
    expect(marks([event({ uid: 'x', exception: 'missing' })], 'x').unmapped).toBeUndefined();
    expect(marks([event({ uid: 'x', milestone: 'loaded' })], 'x').unmapped).toBeUndefined();
  });

  it('pass on that it came out of order', () => {
    expect(marks([event({ uid: 'x', late: true })], 'x').outOfOrder).toBe(true);
  });
});

describe('rows', () => {
  const kinds = (events: Parameters<typeof trace>[0], order: 'occurred' | 'received' = 'occurred') =>
    rows(trace(events), order).map((r) => (r.row === 'day' ? r.date : r.row === 'gap' ? `gap ${r.ms}` : r.event.uid));

  it('have a heading a day, by the clock of the place', () => {
    expect(
      kinds([
        event({ uid: 'a', timestamp: '2025-11-20T23:50:00-05:00' }),
        event({ uid: 'b', timestamp: '2025-11-21T00:10:00-05:00' }),
        event({ uid: 'c', timestamp: '2025-11-21T06:00:00+01:00' }),
      ]),
    ).toEqual(['2025-11-20', 'a', '2025-11-21', 'c', 'b']);
  });

  it('tell of long silences between what happened', () => {
    expect(
      kinds([
        event({ uid: 'a', timestamp: '2025-11-20T08:00:00Z' }),
        event({ uid: 'b', timestamp: '2025-11-20T10:00:00Z' }),
        event({ uid: 'c', timestamp: '2025-11-20T13:12:00Z' }),
        event({ uid: 'd', timestamp: '2025-11-20T20:00:00Z', classifier: 'estimated' }),
      ]),
    ).toEqual(['2025-11-20', 'a', 'b', 'gap 11520000', 'c', 'd']);
  });

  it('do not measure silence from a day without a time', () => {
    expect(
      kinds([
        event({ uid: 'a', timestamp: '2025-11-20T00:00:00Z', time_quality: 'date_only' }),
        event({ uid: 'b', timestamp: '2025-11-20T10:00:00Z' }),
      ]),
    ).toEqual(['2025-11-20', 'a', 'b']);
  });

  it('may go by reception', () => {
    expect(
      kinds(
        [
          event({ uid: 'a', timestamp: '2025-11-20T08:00:00Z', received_at: '2025-11-20T12:00:00Z' }),
          event({ uid: 'b', timestamp: '2025-11-20T09:00:00Z', received_at: '2025-11-20T09:00:01Z' }),
        ],
        'received',
      ),
    ).toEqual(['2025-11-20', 'b', 'gap 10799000', 'a']);
  });

  it('survive a time that is none', () => {
    expect(kinds([event({ uid: 'a', timestamp: 'soon' })])).toEqual(['a']);
    expect(rows(trace([]), 'occurred')).toEqual([]);
  });
});
