import { memo } from 'react';
import classes from './spark.module.css';

const width = 120;
const height = 32;

/** The path of what is below the line, from where it is known first to where it is known last; none when there are gaps between. */
export function areaPath(values: readonly (number | null)[], top?: number): string {
  const line = sparkPath(values, top);
  if (!line || line.slice(1).includes('M')) return '';
  const step = width / Math.max(values.length - 1, 1);
  const [first, last] = [values.findIndex((v) => v !== null), values.findLastIndex((v) => v !== null)];
  return `${line}L${(last * step).toFixed(1)} ${height}L${(first * step).toFixed(1)} ${height}Z`;
}

/** The path of a line through values, over the whole width; unknown values leave gaps. */
export function sparkPath(values: readonly (number | null)[], top?: number): string {
  const known = values.filter((v): v is number => v !== null);
  if (known.length === 0) return '';
  // A line that only trembles around nothing should look like nothing.
  const most = Math.max(top ?? 0, ...known, 1e-9) * 1.1;
  const step = width / Math.max(values.length - 1, 1);
  let down = false;
  return values
    .map((v, i) => {
      if (v === null) {
        down = false;
        return '';
      }
      const to = `${down ? 'L' : 'M'}${(i * step).toFixed(1)} ${(height - 1.5 - (v / most) * (height - 4)).toFixed(1)}`;
      down = true;
      return to;
    })
    .join('');
}

interface SparkProps {
  values: readonly (number | null)[];
  colour: string;
  /** The least that its height stands for. */
  top?: number;
  className?: string;
}

/** How something went lately, in the small. It says nothing that is not written beside it. */
export const Spark = memo(function Spark({ values, colour, top, className }: SparkProps) {
  const line = sparkPath(values, top);
  const area = areaPath(values, top);
  return (
    <svg
      className={`${classes.spark} ${className ?? ''}`}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
      style={{ color: `var(${colour})` }}
    >
      {area && <path d={area} fill="currentColor" opacity="0.12" />}
      <path d={line} fill="none" stroke="currentColor" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  );
});
