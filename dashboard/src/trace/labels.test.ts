import { describe, expect, it } from 'vitest';
import { placeLabels } from './labels';

describe('placeLabels', () => {
  it('puts a name to the right of its point', () => {
    expect(placeLabels([{ x: 100, y: 100, text: 'Lima' }], 400, 200)).toEqual([{ x: 116, y: 104, anchor: 'start' }]);
  });

  it('goes to the other side at the edge of the map', () => {
    expect(placeLabels([{ x: 380, y: 100, text: 'Madrid' }], 400, 200)[0]?.anchor).toBe('end');
  });

  it('covers no other point and no other name', () => {
    const [first, second] = placeLabels(
      [
        { x: 100, y: 100, text: 'Lima' },
        { x: 130, y: 100, text: 'Callao' },
      ],
      400,
      200,
    );
    expect(first?.anchor).not.toBe('start');
    expect(second?.anchor).toBe('start');
  });

  it('leaves a name out that has no room', () => {
    expect(placeLabels([{ x: 20, y: 20, text: 'San Fernando del Valle de Catamarca' }], 60, 40)).toEqual([undefined]);
  });
});
