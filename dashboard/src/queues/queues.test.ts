import { describe, expect, it } from 'vitest';
import { asText, fromBase64, hexDump } from './bytes';
import { bodyOf, confirms, listOf, queryOf, readLettersSearch, searchOf, toggled } from './filter';

describe('the filter of dead letters', () => {
  const search = readLettersSearch({
    stage: 'validate',
    reason: 'schema,future',
    eventType: 'LOD',
    correlationId: 7,
    letter: '',
    x: 1,
  });

  it('is read of the address, and nothing else is', () => {
    expect(search).toEqual({ stage: 'validate', reason: 'schema,future', eventType: 'LOD', correlationId: '7' });
    expect(readLettersSearch({ view: 'nonsense', job: ['a'] })).toEqual({});
  });

  it('asks the same whether it reads or acts', () => {
    expect(queryOf(search)).toMatchObject({
      stage: ['validate'],
      reason: ['schema', 'future'],
      eventType: ['LOD'],
      correlationId: '7',
    });
    expect(bodyOf(search)).toEqual({
      stage: ['validate'],
      reason: ['schema', 'future'],
      event_type: ['LOD'],
      correlation_id: '7',
    });
    expect(searchOf(bodyOf(search))).toEqual(search);
    expect(bodyOf({})).toEqual({});
  });

  it('takes values in and out, and closes the letter that was open', () => {
    const more = toggled({ ...search, letter: 'l1' }, 'stage', 'persist');
    expect(listOf(more.stage)).toEqual(['validate', 'persist']);
    expect(more.letter).toBeUndefined();
    expect(toggled(toggled(more, 'stage', 'persist'), 'stage', 'validate').stage).toBeUndefined();
  });

  it('believes a count that was written, however it was', () => {
    expect(['1000', '1.000', '1,000', '1 000', ' 1000 '].every((text) => confirms(text, 1000))).toBe(true);
    expect(['', '100', '10000', 'mil'].some((text) => confirms(text, 1000))).toBe(false);
  });
});

describe('original bytes', () => {
  it('are what came, digit by digit', () => {
    const text = '{"id": 9007199254740993, "ñ": 1.10}';
    const bytes = fromBase64(btoa(String.fromCharCode(...new TextEncoder().encode(text))));
    expect(asText(bytes)).toBe(text);
    expect(hexDump(bytes).split('\n')[0]).toBe(
      '00000000  7b 22 69 64 22 3a 20 39  30 30 37 31 39 39 32 35  {"id": 900719925',
    );
  });

  it('need not be text', () => {
    expect(asText(new Uint8Array([0xff, 0xfe]))).toBeUndefined();
    expect(hexDump(new Uint8Array([0xff, 0x41, 0x00]))).toBe(
      `00000000  ff 41 00${' '.repeat(15)}  ${' '.repeat(23)}  .A.`,
    );
    expect(fromBase64('not base64!')).toHaveLength(0);
    expect(hexDump(new Uint8Array())).toBe('');
  });
});
