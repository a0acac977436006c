import { describe, expect, it } from 'vitest';
import { hexLines } from './hex';

describe('hexLines', () => {
  it('are the bytes as they travel', () => {
    expect(hexLines('{"a":"é"}\n0123456789')).toEqual([
      { offset: '00000000', hex: '7b 22 61 22 3a 22 c3 a9  22 7d 0a 30 31 32 33 34', text: '{"a":".."}.01234' },
      { offset: '00000010', hex: '35 36 37 38 39'.padEnd(48), text: '56789' },
    ]);
  });

  it('of nothing are none', () => expect(hexLines('')).toEqual([]));
});
