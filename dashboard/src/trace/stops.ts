import type { TraceEvent } from '../api/types';
import type { Formats } from '../i18n/format';
import { inOrder, isActual, milestoneOf } from './chronology';
import { type PlaceText, placeOf } from './place';

/** A place of a journey that a map can show. */
export interface Stop {
  /** From 1, in the order of the first visit. */
  number: number;
  /** Degrees, north and east positive. */
  latitude: number;
  longitude: number;
  place: PlaceText;
  /** What happened there, in order. */
  events: TraceEvent[];
  /** Nothing has happened there yet: it is only planned or estimated. */
  ahead: boolean;
}

export interface Route {
  stops: Stop[];
  /** The numbers of the stops, in the order in which the journey came to them; ahead are those that it is still to come to. */
  path: { from: number; to: number; ahead: boolean }[];
  /** The number of the stop where it was last. */
  current: number | undefined;
  /** Events that say where they were in a way that no map can show. */
  unplaced: number;
}

interface Point {
  latitude: number;
  longitude: number;
}

function pointOf(event: TraceEvent): Point | undefined {
  const known = event.enrichment?.place;
  const at = known && (known.latitude !== 0 || known.longitude !== 0) ? known : event.location;
  const { latitude, longitude } = at ?? {};
  if (latitude === undefined || longitude === undefined) return undefined;
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return undefined;
  return { latitude, longitude };
}

/** Two points this close, in degrees, are one place: a hundredth is about a kilometre. */
const close = 0.01;

const same = (a: Point, b: Point): boolean =>
  Math.abs(a.latitude - b.latitude) < close && Math.abs(a.longitude - b.longitude) < close;

/** Where a journey went, from its events that count. */
export function routeOf(events: readonly TraceEvent[], f: Formats): Route {
  const stops: Stop[] = [];
  const path: Route['path'] = [];
  let last: Stop | undefined;
  let current: number | undefined;
  let unplaced = 0;
  const counted = inOrder(events, 'occurred').filter((e) => !e.voided && !e.superseded && e.corrects?.kind !== 'void');
  // First what happened, then what is ahead, whatever the clocks say.
  for (const event of [...counted.filter(isActual), ...counted.filter((e) => !isActual(e) && milestoneOf(e))]) {
    const place = placeOf(event, f);
    const point = pointOf(event);
    const ahead = !isActual(event);
    if (!place) continue;
    if (!point) {
      unplaced++;
      continue;
    }
    let stop = stops.find((s) => same(s, point));
    if (!stop) {
      stop = { number: stops.length + 1, ...point, place, events: [], ahead };
      stops.push(stop);
    }
    stop.events.push(event);
    if (last && last !== stop) path.push({ from: last.number, to: stop.number, ahead });
    last = stop;
    if (!ahead) current = stop.number;
  }
  return { stops, path, current, unplaced };
}
