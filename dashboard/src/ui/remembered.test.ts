import { afterEach, describe, expect, it, vi } from 'vitest';
import { Remembered } from './remembered';

const numbers = () => new Remembered<number>('test.', 3, (value) => (typeof value === 'number' ? value : undefined));

describe('Remembered', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    localStorage.clear();
  });

  it('keeps the lists of owners apart, and no more than it is to', () => {
    const list = numbers();
    for (const n of [1, 2, 3, 4]) list.change('rosa', (known) => [n, ...known]);
    list.change('luis', () => [9]);
    expect(numbers().list('rosa')).toEqual([4, 3, 2]);
    expect(numbers().list('luis')).toEqual([9]);
    list.forget();
    expect(numbers().list('rosa')).toEqual([]);
  });

  it('is the same list until it changes, and says when it does', () => {
    const list = numbers();
    const told = vi.fn();
    const leave = list.subscribe(told);
    list.change('rosa', () => [1]);
    expect(told).toHaveBeenCalledTimes(1);
    expect(list.list('rosa')).toBe(list.list('rosa'));
    leave();
    list.change('rosa', () => [2]);
    expect(told).toHaveBeenCalledTimes(1);
  });

  it('passes over what is not its own, and does without storage', () => {
    localStorage.setItem('test.rosa', '[1,"two",{"three":3},4]');
    expect(numbers().list('rosa')).toEqual([1, 4]);
    for (const text of ['{', '7', 'null']) {
      localStorage.setItem('test.rosa', text);
      expect(numbers().list('rosa')).toEqual([]);
    }
    vi.spyOn(Storage.prototype, 'getItem').mockImplementation(() => {
      throw new Error('forbidden');
    });
    vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
      throw new Error('full');
    });
    const list = numbers();
    list.change('rosa', () => [1]);
    expect(list.list('rosa')).toEqual([]);
  });
});
