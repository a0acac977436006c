import { describe, expect, it } from 'vitest';
import { unmappedCodes } from './unmapped';

const event = (uid: string, code: string) =>
  `{"uid":"${uid}","event_type":"${code}","payload":{"id":9007199254740993,"uid":"${uid}"}}`;

describe('unmappedCodes', () => {
  it('has the most frequent first, with the last samples as they were sent', () => {
    const page = `{"items":[${['1', '2', '3', '4'].map((n) => event(n, 'XYZ')).join(',')},${event('5', 'ABC')}],"next_cursor":"x"}`;
    const [first, second] = unmappedCodes(page);
    expect(first).toMatchObject({ code: 'XYZ', count: 4 });
    expect(first?.samples.map((s) => s.uid)).toEqual(['1', '2', '3']);
    expect(first?.samples[0]?.payloadText).toBe('{"id":9007199254740993,"uid":"1"}');
    expect(second).toMatchObject({ code: 'ABC', count: 1 });
  });

  it('has none of a page without events', () => expect(unmappedCodes('{"items":[]}')).toEqual([]));
});
