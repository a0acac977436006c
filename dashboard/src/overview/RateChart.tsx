import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import { useI18n } from '../i18n/i18n';
import type { RateSeries } from '../live/series';
import classes from './overview.module.css';

interface RateChartProps {
  series: RateSeries;
  /** Where the time axis begins, in seconds. */
  start: number;
  label: string;
  /** The time under the pointer, in seconds; undefined when there is none. */
  onPoint: (at: number | undefined) => void;
}

const data = (s: RateSeries): uPlot.AlignedData => [s.at, s.rates.accepted, s.rates.stored];

/** Accepted and stored events a second. uPlot keeps the canvas; React only hands it data. */
export function RateChart({ series, start, label, onPoint }: RateChartProps) {
  const { f } = useI18n();
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef({ series, start });
  latest.current = { series, start };

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read from the page, which the scheme changes
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const chart = new uPlot(
      options(element, f, onPoint, () => latest.current),
      data(latest.current.series),
      element,
    );
    plot.current = chart;
    const observer = new ResizeObserver(() => chart.setSize(sizeOf(element)));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = undefined;
    };
  }, [f, scheme, onPoint]);

  useEffect(() => {
    plot.current?.setData(data(series));
  }, [series]);

  return <div className={classes.chart} ref={host} role="img" aria-label={label} data-testid="throughput-chart" />;
}

const sizeOf = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

function options(
  element: HTMLElement,
  f: ReturnType<typeof useI18n>['f'],
  onPoint: RateChartProps['onPoint'],
  latest: () => { series: RateSeries; start: number },
): uPlot.Options {
  const colour = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--text-2'),
    font: '12px "Inter Variable", "Inter Fallback", sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  const fill = (name: string): uPlot.Series.Fill => {
    const base = colour(name);
    return (self) => {
      const { top, height } = self.bbox;
      if (!height) return 'transparent';
      const gradient = self.ctx.createLinearGradient(0, top, 0, top + height);
      gradient.addColorStop(0, `${base}40`);
      gradient.addColorStop(1, `${base}05`);
      return gradient;
    };
  };
  return {
    ...sizeOf(element),
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: {
      drag: { x: false, y: false },
      y: false,
      points: { size: 8, width: 2, fill: colour('--surface') },
    },
    scales: {
      x: {
        time: true,
        range: () => {
          const { series, start } = latest();
          const end = series.at.at(-1);
          return end === undefined ? [0, 60] : [start, end];
        },
      },
      y: { range: (_self, _min, max) => [0, Math.max(4, (max ?? 0) * 1.15)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 90,
        values: (_self, splits) => splits.map((s) => f.clock(s * 1000)),
      },
      { ...axis, size: 54, space: 44, values: (_self, splits) => splits.map((s) => f.rate(s)) },
    ],
    series: [
      {},
      { stroke: colour('--ingest'), width: 1.75, points: { show: false } },
      { stroke: colour('--persist'), width: 1.75, fill: fill('--persist'), points: { show: false } },
    ],
    hooks: {
      setCursor: [
        (self) => {
          const index = self.cursor.idx;
          const at = index == null || (self.cursor.left ?? -1) < 0 ? undefined : self.data[0][index];
          onPoint(at);
        },
      ],
    },
  };
}
