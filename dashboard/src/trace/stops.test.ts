import { describe, expect, it } from 'vitest';
import { es } from '../i18n/es';
import { formats } from '../i18n/format';
import { event } from '../test/trace';
import { routeOf } from './stops';

const f = formats('es', es);
const lim = { iata: 'LIM', name: 'Jorge Chávez', city: 'Lima', country: 'PE', latitude: -12.02, longitude: -77.11 };
const mad = { iata: 'MAD', name: 'Barajas', city: 'Madrid', country: 'ES', latitude: 40.47, longitude: -3.56 };
const at = (hour: number, place: typeof lim | undefined, more: Parameters<typeof event>[0] = {}) => {
  const made = event({ timestamp: `2025-11-20T${String(hour).padStart(2, '0')}:00:00Z`, milestone: 'loaded', ...more });
  return { ...made, enrichment: { ...made.enrichment, ...(place && { place }) } };
};

describe('routeOf', () => {
  it('goes from place to place in order of occurrence, each place once', () => {
    const route = routeOf([at(9, mad), at(1, lim), at(2, lim), at(12, lim)], f);
    expect(route.stops.map((s) => [s.number, s.place.name, s.events.length])).toEqual([
      [1, 'Lima', 3],
      [2, 'Madrid', 1],
    ]);
    expect(route.path).toEqual([
      { from: 1, to: 2, ahead: false },
      { from: 2, to: 1, ahead: false },
    ]);
    expect(route.current).toBe(1);
  });

  it('leaves out what does not count, and keeps what is ahead apart', () => {
    const route = routeOf(
      [at(1, lim), at(2, mad, { voided: true }), at(0, mad, { classifier: 'estimated', milestone: 'arrived' })],
      f,
    );
    expect(route.stops.map((s) => s.ahead)).toEqual([false, true]);
    expect(route.path).toEqual([{ from: 1, to: 2, ahead: true }]);
    expect(route.current).toBe(1);
  });

  it('takes coordinates that the sender gave, and counts places without any', () => {
    const route = routeOf(
      [
        at(1, undefined, { location: { name: 'Depot 7', latitude: 4.65, longitude: -74.06 } }),
        at(2, undefined, { location: { name: 'Depot 7, gate', latitude: 4.651, longitude: -74.061 } }),
        at(3, undefined, { location: { gln: '8412345000005' } }),
        at(4, undefined, { location: { name: 'nowhere', latitude: 412, longitude: 0 } }),
        at(5, undefined),
      ],
      f,
    );
    expect(route.stops).toHaveLength(1);
    expect(route.unplaced).toBe(2);
  });
});
