import { geoCentroid, geoGraticule, geoMercator, geoPath } from 'd3-geo';
import type { GeometryCollection, LineString, MultiPoint, Position } from 'geojson';
import { feature, mesh } from 'topojson-client';
import type { Topology } from 'topojson-specification';
import type { Route, Stop } from './stops';

export interface Drawing {
  /** Paths of SVG. */
  land: string;
  borders: string;
  graticule: string;
  legs: { path: string; ahead: boolean; key: string }[];
  points: { x: number; y: number }[];
}

const position = (stop: Stop): Position => [stop.longitude, stop.latitude];

/** No map is nearer than this round a stop, in degrees, so that there is a coast or a border to tell the place by. */
const around = 4;
const margin = 34;
/** Beyond, Mercator grows without bounds. */
const north = 80;

/** Corners round a stop. */
const corners = ({ longitude, latitude }: Stop): Position[] =>
  [-around, around].flatMap((x) =>
    [-around, around].map((y) => [longitude + x, Math.max(-north, Math.min(north, latitude + (y * 3) / 4))]),
  );

/** Draws a route on the world, as near as it fits; great circles between its stops, north up. */
export function draw(world: Topology, route: Route, width: number, height: number): Drawing {
  const byNumber = new Map(route.stops.map((s) => [s.number, s]));
  const lines = route.path.flatMap(({ from, to, ahead }): { line: LineString; ahead: boolean; key: string }[] => {
    const [a, b] = [byNumber.get(from), byNumber.get(to)];
    if (!a || !b) return [];
    return [{ line: { type: 'LineString', coordinates: [position(a), position(b)] }, ahead, key: `${from}-${to}` }];
  });
  const stops: MultiPoint = { type: 'MultiPoint', coordinates: route.stops.map(position) };
  const frame: GeometryCollection = {
    type: 'GeometryCollection',
    geometries: [{ type: 'MultiPoint', coordinates: route.stops.flatMap(corners) }, ...lines.map((l) => l.line)],
  };
  // The middle of the route in the middle of the map: a route over the Pacific is not torn apart.
  const [middle] = geoCentroid(stops);
  const projection = geoMercator()
    .rotate([Number.isFinite(middle) ? -middle : 0, 0])
    .fitExtent(
      [
        [margin, margin],
        [width - margin, height - margin],
      ],
      frame,
    )
    .clipExtent([
      [0, 0],
      [width, height],
    ]);
  const path = geoPath(projection).digits(1);
  const countries = world.objects.countries ?? world.objects.land;
  if (!countries) throw new Error('the atlas has neither countries nor land');
  const step = stepOf((width / projection.scale()) * (180 / Math.PI));
  const unclipped = geoMercator()
    .rotate(projection.rotate())
    .scale(projection.scale())
    .translate(projection.translate());
  const seen = new Set<string>();
  return {
    land: path(feature(world, countries)) ?? '',
    borders: path(mesh(world, countries as Parameters<typeof mesh>[1], (a, b) => a !== b)) ?? '',
    graticule:
      path(
        geoGraticule()
          .step([step, step])
          .extentMajor([
            [-180, -north],
            [180, north],
          ])(),
      ) ?? '',
    legs: lines
      .filter((l) => !seen.has(l.key) && seen.add(l.key))
      .map(({ line, ahead, key }) => ({ path: path(line) ?? '', ahead, key })),
    points: route.stops.map((stop) => {
      const [x, y] = unclipped([stop.longitude, stop.latitude]) ?? [0, 0];
      return { x, y };
    }),
  };
}

/** How far apart the lines of the graticule are, in degrees, for a map so many degrees wide. */
const stepOf = (degrees: number): number => (degrees > 120 ? 30 : degrees > 50 ? 10 : degrees > 20 ? 5 : 2);
