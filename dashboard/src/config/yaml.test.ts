import { describe, expect, it } from 'vitest';
import { yamlTokens } from './yaml';

const kinds = (line: string) => yamlTokens(line).map((token) => `${token.kind}|${token.text}`);

describe('yamlTokens', () => {
  it.each([
    ['pipeline: tracking', ['key|pipeline', 'plain|:', 'plain| ', 'plain|tracking']],
    [
      '  - name: "a # b" # why',
      ['plain|  - ', 'key|name', 'plain|:', 'plain| ', 'string|"a # b"', 'plain| ', 'comment|# why'],
    ],
    ['workers: 12', ['key|workers', 'plain|:', 'plain| ', 'number|12']],
    ['enabled: true', ['key|enabled', 'plain|:', 'plain| ', 'literal|true']],
    ['# all of it', ['comment|# all of it']],
    ["note: it's a # here", ['key|note', 'plain|:', 'plain| ', "plain|it's a", 'plain| ', 'comment|# here']],
    ['url: nats://host:4222', ['key|url', 'plain|:', 'plain| ', 'plain|nats://host:4222']],
    ['', []],
  ])('%s', (line, expected) => expect(kinds(line)).toEqual(expected));

  it('loses no letter, whatever it is given', () => {
    for (const line of [
      '::: - [a, b: {c}] #x',
      '  "unterminated',
      '\t- - x:y',
      'a: "b\\" # c" d',
      '%TAG ! x',
      '? {a: 1}',
    ]) {
      expect(
        yamlTokens(line)
          .map((token) => token.text)
          .join(''),
      ).toBe(line);
    }
  });
});
