import { describe, expect, it } from 'vitest';
import { event } from '../test/trace';
import { fromMicros, moments, stepAt } from './moments';

const events = [
  event({ timestamp: '2025-11-20T10:00:00.000001-05:00', received_at: '2025-11-20T18:00:00Z' }),
  event({ timestamp: '2025-11-20T15:00:00.000001Z', received_at: '2025-11-20T15:00:02.5Z' }),
  event({ timestamp: '2025-11-20T16:00:00Z', received_at: '2025-11-20T16:00:01Z' }),
  event({ timestamp: '2025-11-21T16:00:00Z', received_at: '2025-11-20T12:00:00Z', classifier: 'planned' }),
];

describe('moments', () => {
  it('are when something happened, once, in UTC and to the microsecond; plans have not happened', () => {
    expect(moments(events, 'asOf')).toEqual(['2025-11-20T15:00:00.000001Z', '2025-11-20T16:00:00.000000Z']);
  });

  it('are when something was received, plans too', () => {
    expect(moments(events, 'knownAt')).toEqual([
      '2025-11-20T12:00:00.000000Z',
      '2025-11-20T15:00:02.500000Z',
      '2025-11-20T16:00:01.000000Z',
      '2025-11-20T18:00:00.000000Z',
    ]);
  });

  it('leave out what is no time', () => expect(moments([event({ timestamp: 'soon' })], 'asOf')).toEqual([]));
});

describe('stepAt', () => {
  const all = moments(events, 'asOf');
  it.each([
    ['2025-11-20T15:00:00Z', 0],
    ['2025-11-20T15:00:00.000001Z', 1],
    ['2025-11-20T15:30:00Z', 1],
    ['2025-11-20T12:00:00-05:00', 2],
  ])('%s: %s', (at, step) => expect(stepAt(all, at)).toBe(step));
});

describe('fromMicros', () => {
  it('keeps every digit', () => {
    expect(fromMicros(1_763_650_800_123_456)).toBe('2025-11-20T15:00:00.123456Z');
    expect(fromMicros(-1)).toBe('1969-12-31T23:59:59.999999Z');
  });
});
