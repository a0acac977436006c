import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formats, micros, offsetText, wallTime, wallTimeAt } from './format';
import { catalogs } from './i18n';

type Leaf = string | ((...args: never[]) => string);
type Node = Leaf | { [key: string]: Node };

function leaves(node: Node, path: string[] = []): [string, Leaf][] {
  if (typeof node === 'string' || typeof node === 'function') return [[path.join('.'), node]];
  return Object.entries(node).flatMap(([key, child]) => leaves(child, [...path, key]));
}

const spanish = new Map(leaves(catalogs.es as unknown as Node));
const english = new Map(leaves(catalogs.en as unknown as Node));

describe('catalogs', () => {
  it('have the same keys', () => {
    expect([...english.keys()].sort()).toEqual([...spanish.keys()].sort());
  });

  it('have no empty text, and functions that use all they are given', () => {
    for (const [key, leaf] of [...spanish, ...english]) {
      if (typeof leaf === 'string') {
        expect(leaf.trim(), key).not.toBe('');
        continue;
      }
      const other = spanish.get(key);
      expect(typeof other, key).toBe('function');
      const call = leaf as (...args: unknown[]) => string;
      const args = ['«first»', '«second»', '«third»'].slice(0, Math.max(leaf.length, (other as Leaf).length, 1));
      const text = call(...args);
      // Counted texts take the number and the number as written, and may say only the latter.
      const [first = '', ...rest] = args;
      if (rest.length === 0) expect(text, key).toContain(first);
      for (const arg of rest) expect(text, key).toContain(arg);
    }
  });

  it('tell one from many', () => {
    for (const t of Object.values(catalogs)) {
      expect(t.trace.eventCount(1, '1')).not.toBe(t.trace.eventCount(2, '2').replace('2', '1'));
    }
    expect(catalogs.es.trace.eventCount(1, '1')).toBe('1 evento');
    expect(catalogs.es.trace.eventCount(0, '0')).toBe('0 eventos');
  });

  it('differ where the languages do', () => {
    const same = [...spanish].filter(([key, leaf]) => typeof leaf === 'string' && english.get(key) === leaf);
    // Units, names and international words only.
    const allowed =
      /^app\.name$|perSecond$|^time\.|\.uid$|original$|^trace\.raw\.original$|\.pipelines?$|\.hex$|\.utc$|^finder\.example\.|^carriers\.health\.fine$|^config\.tab\.files$|^config\.severity\.error$/;
    expect(same.map(([key]) => key).filter((key) => !allowed.test(key))).toEqual([]);
  });
});

describe('the codes of the shipped catalog of meanings', () => {
  const meanings = readFileSync('../config/milestones.yaml', 'utf8');
  const rules = meanings.split('\n').filter((line) => !/^\s*#/.test(line));

  it('have a text for every exception', () => {
    const codes = new Set(rules.flatMap((line) => /exception: ([a-z_]+)/.exec(line)?.[1] ?? []));
    expect(codes.size).toBeGreaterThan(20);
    expect([...codes].filter((code) => !Object.hasOwn(catalogs.es.trace.exception, code))).toEqual([]);
  });
});

describe('numbers', () => {
  const es = formats('es', catalogs.es);
  const en = formats('en', catalogs.en);

  it.each([
    [0, '0', '0'],
    [0.01, '<0,1', '<0.1'],
    [3.44, '3,4', '3.4'],
    [42.4, '42', '42'],
    [4210, '4.210', '4,210'],
    [9999.4, '9.999', '9,999'],
    [18_432, '18,4k', '18.4k'],
    [1_250_000, '1,3M', '1.3M'],
  ])('rate %s', (n, spanishText, englishText) => {
    expect(es.rate(n)).toBe(spanishText);
    expect(en.rate(n)).toBe(englishText);
  });

  it('never shows a number for what is unknown', () => {
    expect(es.rate(undefined)).toBe('—');
    expect(es.rate(Number.NaN)).toBe('—');
  });

  it('groups four digits in Spanish too', () => {
    expect(es.count(4210)).toBe('4.210');
    expect(es.count(12_345_678)).toBe('12.345.678');
  });
});

describe('times', () => {
  const es = formats('es', catalogs.es);

  it('stay in the zone they were sent in', () => {
    expect(wallTime('2025-11-20T23:59:58.123456-05:00')).toEqual({
      date: '2025-11-20',
      time: '23:59:58',
      offset: -300,
    });
    expect(wallTime('2025-11-20T04:10:00Z')?.offset).toBe(0);
    expect(wallTime('2025-11-20T04:10:00+05:45')?.offset).toBe(345);
    expect(wallTime('20/11/2025')).toBeUndefined();
  });

  it('compare to the microsecond, whatever the zone', () => {
    expect(micros('2025-11-20T23:59:58.000001-05:00') - micros('2025-11-21T04:59:58Z')).toBe(1);
    expect(micros('2025-11-20T10:00:00.25Z') - micros('2025-11-20T10:00:00Z')).toBe(250_000);
    expect(micros('yesterday')).toBeNaN();
  });

  it('move to another clock on demand', () => {
    expect(wallTimeAt('2025-11-21T03:30:00Z', -300)).toEqual({ date: '2025-11-20', time: '22:30:00', offset: -300 });
  });

  it('write offsets with a minus sign', () => {
    expect(offsetText(-300)).toBe('−05:00');
    expect(offsetText(345)).toBe('+05:45');
    expect(es.zone(0)).toBe('UTC');
    expect(es.zone(-180)).toBe('UTC−03:00');
  });

  it.each([
    [0, '0 s'],
    [47_900, '47 s'],
    [61_000, '1 min 1 s'],
    [600_000, '10 min'],
    [5_100_000, '1 h 25 min'],
    [7_200_000, '2 h'],
    [90_000_000, '1 d 1 h'],
    [-61_000, '1 min 1 s'],
  ])('duration %s', (ms, text) => expect(es.duration(ms)).toBe(text));

  it('name days and countries', () => {
    expect(es.day('2025-11-20')).toBe('jueves, 20 de noviembre de 2025');
    expect(es.country('PE')).toBe('Perú');
    expect(es.country('not a code')).toBe('not a code');
    expect(es.ago(3 * 60_000)).toBe('hace 3 minutos');
    expect(es.ago(1000)).toBe('ahora mismo');
  });
});
