import { describe, expect, it } from 'vitest';
import { cleaned, looksLike, spellings } from './identify';

describe('looksLike', () => {
  it.each([
    ['157-53806270', 'airWaybill'],
    ['020-12345675', 'airWaybill'],
    ['23912345675', 'airWaybill'],
    ['933 2240 5670', 'airWaybill'],
    ['020-12345674', 'airWaybillBadDigit'],
    ['0117814872', 'bagTag'],
    ['RR473124829FI', 'postal'],
    ['rr473124829fi', 'postal'],
    ['RR473124828FI', 'postalBadDigit'],
    ['CSQU3054383', 'container'],
    ['MWCU6059784', 'container'],
    ['APNR7744962', 'other'], // the fourth letter names no category
    ['CSQU3054384', 'containerBadDigit'],
    ['PMC98669KZ', 'uld'],
    ['1Z3F4W576807747148', 'other'],
    ['BAG001', 'other'],
    ['   ', undefined],
  ])('%s: %s', (text, kind) => expect(looksLike(text)).toBe(kind));
});

describe('spellings', () => {
  it('tries an air waybill with and without its hyphen, as typed first', () => {
    expect(spellings('020-12345675')).toEqual(['020-12345675', '02012345675']);
    expect(spellings(' 020 1234 5675 ')).toEqual(['020 1234 5675', '020-12345675', '02012345675']);
  });

  it('leaves everything else as it is', () => {
    expect(spellings('Bag 7')).toEqual(['Bag 7']);
    expect(spellings(' ')).toEqual([]);
  });
});

describe('cleaned', () => {
  it('drops what pasting brings along', () => {
    expect(cleaned('\u200b 0117814872\u00a0\n')).toBe('0117814872');
  });
});
