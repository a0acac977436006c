import { lazy, Suspense, useMemo } from 'react';
import type { TraceEvent } from '../api/types';
import { useI18n } from '../i18n/i18n';
import { Card } from '../ui/Card';
import classes from './map.module.css';
import { routeOf } from './stops';

const PlaceMap = lazy(() => import('./PlaceMap').then((module) => ({ default: module.PlaceMap })));

interface PlacesProps {
  events: readonly TraceEvent[];
  selected: string | undefined;
  onSelect: (uid: string) => void;
}

/** The places of a journey: a map, and the same as a list. Nothing when no event says where it was. */
export function Places({ events, selected, onSelect }: PlacesProps) {
  const { t, f } = useI18n();
  const route = useMemo(() => routeOf(events, f), [events, f]);
  if (route.stops.length === 0) return null;
  return (
    <Card titleId="places" title={t.journey.map.title} className={classes.card}>
      <Suspense fallback={<div className={classes.waiting} />}>
        <PlaceMap route={route} selected={selected} onSelect={onSelect} />
      </Suspense>
      <ol className={classes.stops}>
        {route.stops.map((stop) => (
          <li
            key={stop.number}
            data-ahead={stop.ahead || undefined}
            data-current={route.current === stop.number || undefined}
          >
            <button
              type="button"
              aria-pressed={stop.events.some((e) => e.uid === selected)}
              onClick={() => onSelect(stop.events.at(-1)?.uid ?? '')}
            >
              <span className={`${classes.index} num`}>{stop.number}</span>
              {stop.place.name}
              {stop.place.code && <span className="mono secondary">{stop.place.code}</span>}
            </button>
          </li>
        ))}
      </ol>
      {route.unplaced > 0 && (
        <p className={classes.foot}>{t.journey.map.unplaced(route.unplaced, f.count(route.unplaced))}</p>
      )}
    </Card>
  );
}
