import { expect, it } from 'vitest';
import { changedLines } from './changes';

const changed = (lines: { text: string; changed: boolean }[]) =>
  lines.filter((l) => l.changed).map((l) => l.text.trim());

it('marks what a stage has added and taken out, in the digits that came', () => {
  const { before, after } = changedLines('{"id":9007199254740993,"a":1}', '{"id":9007199254740993,"a":2,"b":true}');
  expect(changed(before)).toEqual(['"a": 1']);
  expect(changed(after)).toEqual(['"a": 2,', '"b": true']);
  expect(after.map((l) => l.text).join('\n')).toContain('9007199254740993');
});

it('marks nothing when there is nothing to compare with', () => {
  expect(changed(changedLines('{"a":1}', '').before)).toEqual([]);
  expect(changedLines('cut off {"a', undefined).after).toEqual([]);
});
