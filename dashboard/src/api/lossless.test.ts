import { describe, expect, it } from 'vitest';
import { elements, JsonTextError, members, pretty, prettyTokens, stringValue } from './lossless';

describe('members', () => {
  it('keeps numbers that a double cannot hold', () => {
    const found = members('{"id": 9007199254740993, "w": 1.10, "e": 1E+2, "deep": {"n": [18446744073709551615]}}');
    expect(found?.get('id')).toBe('9007199254740993');
    expect(found?.get('w')).toBe('1.10');
    expect(found?.get('e')).toBe('1E+2');
    expect(found?.get('deep')).toBe('{"n": [18446744073709551615]}');
  });

  it('is not misled by brackets, quotes and escapes inside strings', () => {
    const found = members('{"a":"}],\\"{[","b\\u0041":{"k":"\\\\"},"c":null}');
    expect(found?.get('a')).toBe('"}],\\"{["');
    expect(found?.get('bA')).toBe('{"k":"\\\\"}');
    expect(found?.get('c')).toBe('null');
  });

  it('keeps white space inside a value and drops it around', () => {
    expect(members(' {\n "a" :\t{ "x" : 1 }\r\n , "b" : [ ] } ')).toEqual(
      new Map([
        ['a', '{ "x" : 1 }'],
        ['b', '[ ]'],
      ]),
    );
  });

  it('takes the last of equal keys, as JSON.parse does', () => {
    expect(members('{"a":1,"a":2}')?.get('a')).toBe('2');
  });

  it('says nothing of what is no object', () => {
    expect(members('[1]')).toBeUndefined();
    expect(members('null')).toBeUndefined();
    expect(members('{}')).toEqual(new Map());
  });

  it.each(['{"a"', '{"a":', '{"a":1', '{"a":"x', '{"a":{"b":1}', '{"a" 1}', '{a:1}', '{"a":1 "b":2}'])(
    'reports broken JSON: %s',
    (text) => expect(() => members(text)).toThrow(JsonTextError),
  );

  it('goes through any depth', () => {
    const deep = `${'['.repeat(200_000)}1${']'.repeat(200_000)}`;
    expect(members(`{"a":${deep}}`)?.get('a')).toBe(deep);
  });
});

describe('elements', () => {
  it('gives each element as its text', () => {
    expect(elements('[1.0, "a,b", {"x":[1,2]}, [] , true]')).toEqual(['1.0', '"a,b"', '{"x":[1,2]}', '[]', 'true']);
    expect(elements('[]')).toEqual([]);
    expect(elements('{}')).toBeUndefined();
  });
});

describe('agreement with JSON.parse', () => {
  // A small deterministic generator: any value, cut into texts and parsed again, is the value.
  const random = (seed: number) => () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const value = (next: () => number, depth: number): unknown => {
    const pick = Math.floor(next() * (depth > 4 ? 5 : 7));
    if (pick === 0) return null;
    if (pick === 1) return next() > 0.5;
    if (pick === 2) return (next() - 0.5) * 10 ** Math.floor(next() * 30 - 10);
    if (pick < 5) return ['', 'a', '"', '\\', '}]', ':,', '\u2028é\n', '\ud83d\ude00'][Math.floor(next() * 8)];
    const n = Math.floor(next() * 4);
    const children = Array.from({ length: n }, () => value(next, depth + 1));
    if (pick === 5) return children;
    return Object.fromEntries(children.map((c, i) => [`${'"\\ {'.charAt(i % 4)}${i}`, c]));
  };

  it('holds for generated values', () => {
    for (let seed = 1; seed <= 400; seed++) {
      const next = random(seed);
      const object = { a: value(next, 0), b: [value(next, 0), value(next, 0)] };
      const indent = [undefined, 1, '\t'][seed % 3];
      const text = JSON.stringify(object, undefined, indent);
      const again = Object.fromEntries([...(members(text) ?? [])].map(([k, v]) => [k, JSON.parse(v)]));
      expect(again).toEqual(object);
      expect(JSON.parse(pretty(text))).toEqual(object);
      expect(pretty(text)).toBe(JSON.stringify(object, undefined, 2));
    }
  });
});

describe('pretty', () => {
  it('lays out without touching a number', () => {
    expect(pretty('{"eventId":202201180000000014,"w":[1.10,-0],"e":{},"l":[ ]}')).toBe(
      '{\n  "eventId": 202201180000000014,\n  "w": [\n    1.10,\n    -0\n  ],\n  "e": {},\n  "l": []\n}',
    );
  });

  it('tells keys from strings', () => {
    const kinds = prettyTokens('{"a":"b","c":[1,"d",true]}')
      .filter((t) => t.kind !== 'space' && t.kind !== 'punctuation')
      .map((t) => [t.kind, t.text]);
    expect(kinds).toEqual([
      ['key', '"a"'],
      ['string', '"b"'],
      ['key', '"c"'],
      ['number', '1'],
      ['string', '"d"'],
      ['literal', 'true'],
    ]);
  });
});

describe('stringValue', () => {
  it('gives the text of a string and nothing else', () => {
    expect(stringValue('"FSU/14\\r\\n020-12345675"')).toBe('FSU/14\r\n020-12345675');
    expect(stringValue('{"a":"b"}')).toBeUndefined();
    expect(stringValue('12')).toBeUndefined();
  });
});
