import { useId } from 'react';
import { type CountName, lastWindow, rateSeries, type Sample } from '../live/series';
import classes from './overview.module.css';

const width = 240;
const height = 40;
const minute = 60_000;
const smooth = 5_000;

interface Point {
  x: number;
  y: number;
}

/** The points of a line over the last minute, in the coordinates of the drawing. */
export function sparkPoints(samples: readonly Sample[], name: CountName): Point[] {
  const { at, rates } = rateSeries(lastWindow(samples, 2 * minute), [name], smooth);
  const end = at.at(-1) ?? 0;
  const values = rates[name];
  // A line that only trembles around nothing should look like nothing.
  const top = Math.max(1, ...values.map((v) => v ?? 0)) * 1.1;
  return at
    .map((second, i) => ({
      x: width - ((end - second) * 1000 * width) / minute,
      y: height - 1.5 - ((values[i] ?? 0) / top) * (height - 4),
    }))
    .filter((p, i, all) => p.x >= 0 || (all[i + 1]?.x ?? -1) >= 0);
}

interface SparklineProps {
  samples: readonly Sample[];
  name: CountName;
  label: string;
}

export function Sparkline({ samples, name, label }: SparklineProps) {
  const gradient = useId();
  const points = sparkPoints(samples, name);
  const line = points.map((p, i) => `${i === 0 ? 'M' : 'L'}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join('');
  const first = points[0];
  const area = first ? `${line}L${width} ${height}L${first.x.toFixed(1)} ${height}Z` : '';
  return (
    <svg
      className={classes.spark}
      data-name={name}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <defs>
        <linearGradient id={gradient} x1="0" y1="0" x2="0" y2="1">
          <stop offset="0" stopColor="currentColor" stopOpacity="0.28" />
          <stop offset="1" stopColor="currentColor" stopOpacity="0.02" />
        </linearGradient>
      </defs>
      <path d={area} fill={`url(#${gradient})`} />
      <path d={line} fill="none" stroke="currentColor" strokeWidth="1.6" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
