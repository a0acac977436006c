import { describe, expect, it } from 'vitest';
import type { Schema } from '../api/typed';
import { en } from '../i18n/en';
import { lineOf, meanings, proposed } from './meaning';

const code = (proposal?: Partial<Schema<'CodesProposal'>>) => ({ proposal }) as Schema<'UnmappedCode'>;

describe('what a code can mean', () => {
  it('is any milestone, or nothing', () => {
    const choices = meanings(code(), en);
    expect(choices[0]).toEqual({
      value: 'announced',
      label: 'Announced · announced',
      meaning: { milestone: 'announced' },
    });
    expect(choices.map((choice) => choice.value)).not.toContain('unknown');
    expect(choices.at(-1)?.meaning).toEqual({ milestone: 'none' });
  });

  it('is first what is proposed, which then stands there once', () => {
    const choices = meanings(code({ milestone: 'arrived' }), en);
    expect(choices[0]).toEqual({ value: proposed, label: 'Arrived (as proposed)', meaning: { milestone: 'arrived' } });
    expect(choices.filter((choice) => choice.meaning.milestone === 'arrived')).toHaveLength(1);
    const both = meanings(code({ milestone: 'arrived', exception: 'damaged' }), en);
    expect(both[0]?.label).toBe('Arrived, Damaged (as proposed)');
    expect(both.filter((choice) => choice.meaning.milestone === 'arrived')).toHaveLength(2);
    expect(meanings(code({ exception: 'brand_new' }), en)[0]?.label).toBe('brand_new (as proposed)');
  });

  it.each([
    [{ milestone: 'arrived' }, '"A/B": arrived'],
    [{ exception: 'damaged' }, '"A/B": {exception: damaged}'],
    [{ milestone: 'arrived', exception: 'damaged' }, '"A/B": {milestone: arrived, exception: damaged}'],
  ])('is written as %o', (meaning, line) => expect(lineOf({ key: '"A/B"' }, meaning)).toBe(line));
});
