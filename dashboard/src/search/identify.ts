// What a number looks like. It only helps whoever typed it: a check digit that does not match is a warning, and everything
// is looked for as written, since carriers send numbers that break their own rules.

export type LooksLike =
  | 'airWaybill'
  | 'airWaybillBadDigit'
  | 'bagTag'
  | 'postal'
  | 'postalBadDigit'
  | 'container'
  | 'containerBadDigit'
  | 'uld'
  | 'other';

/** The text to look for: without the spaces around it, and without invisible characters that pasting brings along. */
export const cleaned = (text: string): string =>
  text
    .replace(/[\u200b-\u200f\u202a-\u202e\u2060\ufeff]/g, '')
    .replace(/\s+/g, ' ')
    .trim();

/** An air waybill is three digits of airline prefix and eight of serial, the last of which is the first seven modulo 7. */
const airWaybill = /^(\d{3})[- ]?(\d{4})[- ]?(\d{3})(\d)$/;
/** A licence plate of ten digits (IATA Resolution 740): it has no check digit. */
const bagTag = /^\d{10}$/;
/** UPU S10: two letters, eight digits, a check digit, a country. */
const postal = /^([A-Z]{2})(\d{8})(\d)([A-Z]{2})$/;
/** ISO 6346: owner, category, six digits, a check digit. */
const container = /^([A-Z]{3}[UJZ]\d{6})(\d)$/;
/** IATA unit load device: type, serial number of four or five digits, owner. */
const uld = /^[A-Z][A-Z0-9]{2}\d{4,5}[A-Z0-9]{2}$/;

export function looksLike(text: string): LooksLike | undefined {
  const id = cleaned(text).toUpperCase();
  if (!id) return undefined;

  const waybill = airWaybill.exec(id);
  if (waybill) {
    const [, , first = '', rest = '', digit] = waybill;
    return Number(first + rest) % 7 === Number(digit) ? 'airWaybill' : 'airWaybillBadDigit';
  }
  if (bagTag.test(id)) return 'bagTag';

  const item = postal.exec(id);
  if (item) return s10Digit(item[2] ?? '') === Number(item[3]) ? 'postal' : 'postalBadDigit';

  const box = container.exec(id);
  if (box) return iso6346Digit(box[1] ?? '') === Number(box[2]) ? 'container' : 'containerBadDigit';

  return uld.test(id) ? 'uld' : 'other';
}

function s10Digit(digits: string): number {
  const weights = [8, 6, 4, 2, 3, 5, 9, 7];
  const sum = weights.reduce((total, weight, i) => total + weight * Number(digits[i]), 0);
  const check = 11 - (sum % 11);
  return check === 10 ? 0 : check === 11 ? 5 : check;
}

function iso6346Digit(code: string): number {
  const sum = [...code].reduce((total, c, i) => total + iso6346Value(c) * 2 ** i, 0);
  return (sum % 11) % 10;
}

/** Letters count from 10, leaving out the multiples of 11. */
function iso6346Value(c: string): number {
  if (c >= '0' && c <= '9') return Number(c);
  const n = c.charCodeAt(0) - 65 + 10;
  return n + Math.floor((n - 1) / 10);
}

/** The ways in which senders write an identifier: as typed and, for an air waybill, with and without its hyphen. */
export function spellings(text: string): string[] {
  const id = cleaned(text);
  const waybill = airWaybill.exec(id);
  if (!waybill) return id ? [id] : [];
  const [, prefix, first, rest, digit] = waybill;
  const serial = `${first}${rest}${digit}`;
  return [...new Set([id, `${prefix}-${serial}`, `${prefix}${serial}`])];
}
