import { useElementSize } from '@mantine/hooks';
import { useMemo } from 'react';
import type { Topology } from 'topojson-specification';
import atlas from 'world-atlas/countries-110m.json';
import { useI18n } from '../i18n/i18n';
import { placeLabels } from './labels';
import classes from './map.module.css';
import { draw } from './projection';
import type { Route } from './stops';

// Natural Earth, in the public domain, as the world-atlas package has it.
const world = atlas as unknown as Topology;

interface PlaceMapProps {
  route: Route;
  /** The uid of the event that is shown. */
  selected: string | undefined;
  onSelect: (uid: string) => void;
}

/** Where the journey went, drawn from coordinates alone: no tiles, and nobody else is asked. */
export function PlaceMap({ route, selected, onSelect }: PlaceMapProps) {
  const { t } = useI18n();
  const { ref, width: measured, height: tall } = useElementSize();
  const [width, height] = [Math.round(measured) || 460, Math.round(tall) || 260];
  const drawing = useMemo(() => draw(world, route, width, height), [route, width, height]);
  const labels = useMemo(
    () =>
      placeLabels(
        route.stops.map((stop, i) => ({ ...(drawing.points[i] ?? { x: 0, y: 0 }), text: stop.place.name })),
        width,
        height,
      ),
    [route, drawing, width, height],
  );
  return (
    <div ref={ref} className={classes.frame}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        className={classes.map}
        role="img"
        aria-label={t.journey.map.drawn(route.stops.map((stop) => stop.place.name).join(', '))}
      >
        <g aria-hidden>
          <path d={drawing.graticule} className={classes.graticule} />
          <path d={drawing.land} className={classes.land} />
          <path d={drawing.borders} className={classes.borders} />
          {drawing.legs.map((leg) => (
            <path key={leg.key} d={leg.path} className={classes.leg} data-ahead={leg.ahead || undefined} />
          ))}
        </g>
        {route.stops.map((stop, i) => {
          const point = drawing.points[i];
          const label = labels[i];
          const last = stop.events.at(-1);
          if (!point || !last) return null;
          const here = route.current === stop.number;
          return (
            // biome-ignore lint/a11y/noStaticElementInteractions: the list of stops below is for the keyboard
            <g
              key={stop.number}
              className={classes.stop}
              data-ahead={stop.ahead || undefined}
              data-current={here || undefined}
              data-selected={stop.events.some((e) => e.uid === selected) || undefined}
              onClick={() => onSelect(last.uid)}
            >
              {here && <circle cx={point.x} cy={point.y} r={16} className={classes.halo} />}
              <circle cx={point.x} cy={point.y} r={10} className={classes.dot} />
              <text x={point.x} y={point.y + 4} textAnchor="middle" className={classes.number}>
                {stop.number}
              </text>
              {label && (
                <text x={label.x} y={label.y} textAnchor={label.anchor} className={classes.label}>
                  {stop.place.name}
                </text>
              )}
            </g>
          );
        })}
      </svg>
    </div>
  );
}
