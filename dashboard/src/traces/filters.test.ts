import { describe, expect, it } from 'vitest';
import { isFiltered, joinList, queryOf, readSearch, splitList, unfiltered } from './filters';

const now = Date.UTC(2025, 10, 20, 12);

describe('the address of the list', () => {
  it('is read, less what does not belong there', () => {
    expect(
      readSearch({
        status: 'loaded, delivered,loaded',
        location: ['LIM', 'CUZ'],
        q: 1234567890,
        span: '24h',
        clock: 'updated',
        sort: 'nonsense',
        order: 'asc',
        from: 'yesterday',
        other: 'x',
        flight: '',
      }),
    ).toEqual({
      status: 'loaded,delivered',
      location: 'LIM,CUZ',
      q: '1234567890',
      span: '24h',
      clock: 'updated',
      order: 'asc',
    });
  });

  it('keeps a comma that belongs to a value', () => {
    const text = joinList(['Lima, Callao', 'CUZ']);
    expect(text).toBe('Lima\\, Callao,CUZ');
    expect(splitList(text)).toEqual(['Lima, Callao', 'CUZ']);
    expect(splitList(readSearch({ location: text }).location)).toEqual(['Lima, Callao', 'CUZ']);
  });

  it('knows what narrows it', () => {
    expect(isFiltered({ sort: 'first', order: 'asc' })).toBe(false);
    expect(isFiltered({ span: '1h' })).toBe(true);
    expect(unfiltered({ status: 'lost', q: 'x', sort: 'first', order: 'asc' })).toEqual({
      sort: 'first',
      order: 'asc',
    });
  });
});

describe('queryOf', () => {
  it('asks for the latest by default', () => {
    expect(queryOf({}, now)).toEqual({ sort: 'last_event_at', order: 'desc' });
  });

  it('passes lists as lists, and a time range to the time that it is of', () => {
    expect(queryOf({ status: 'loaded,lost', span: '1h', clock: 'first', sort: 'updated', order: 'asc' }, now)).toEqual({
      status: ['loaded', 'lost'],
      firstEventFrom: '2025-11-20T11:00:00.000Z',
      sort: 'updated_at',
      order: 'asc',
    });
    expect(queryOf({ from: '2025-11-01T00:00:00Z', until: '2025-11-02T00:00:00-05:00' }, now)).toEqual({
      lastEventFrom: '2025-11-01T00:00:00Z',
      lastEventUntil: '2025-11-02T00:00:00-05:00',
      sort: 'last_event_at',
      order: 'desc',
    });
  });

  it('does not ask by a beginning that is too short', () => {
    expect(queryOf({ q: ' 00 ' }, now).q).toBeUndefined();
    expect(queryOf({ q: ' 004 ' }, now).q).toBe('004');
  });
});
