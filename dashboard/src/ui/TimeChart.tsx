import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { type I18n, useI18n } from '../i18n/i18n';
import classes from './chart.module.css';

export interface ChartSeries {
  key: string;
  label: string;
  /** The name of the style variable that has its colour. */
  colour: string;
  values: readonly (number | null)[];
  /** A tint below the line. */
  fill?: boolean;
  dashed?: boolean;
}

export interface ChartData {
  /** Seconds since the epoch, rising. */
  at: readonly number[];
  series: readonly ChartSeries[];
  /** From when to when, in seconds, whatever is known of it. */
  from: number;
  to: number;
}

interface TimeChartProps {
  data: ChartData;
  label: string;
  /** Writes a value of the axis. */
  format: (value: number) => string;
  /** The least that the axis goes up to. */
  least?: number;
  /** Called with the index of the point below the cursor, and without one when it leaves. */
  onPoint: (index: number | undefined) => void;
  /** Called with seconds since the epoch when a stretch is drawn over the chart. */
  onZoom?: (from: number, to: number) => void;
}

/** Lines over time. Charts of a page share their cursor. */
export function TimeChart({ data, label, format, least = 1, onPoint, onZoom }: TimeChartProps) {
  const { f } = useI18n();
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const latest = useRef({ data, format, least, onPoint, onZoom });
  latest.current = { data, format, least, onPoint, onZoom };
  const shape = data.series.map((s) => `${s.key} ${s.colour} ${s.fill} ${s.dashed}`).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read from the page, which the scheme changes; the lines are those of the shape
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const chart = new uPlot(
      options(element, f, () => latest.current),
      aligned(latest.current.data),
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
  }, [f, scheme, shape]);

  useEffect(() => {
    plot.current?.setData(aligned(data));
  }, [data]);

  return <div className={classes.chart} ref={host} role="img" aria-label={label} />;
}

const aligned = (data: ChartData): uPlot.AlignedData =>
  [data.at, ...data.series.map((s) => s.values)] as unknown as uPlot.AlignedData;

const sizeOf = (element: HTMLElement) => ({ width: element.clientWidth, height: element.clientHeight });

type Latest = () => Pick<TimeChartProps, 'data' | 'format' | 'onPoint' | 'onZoom'> & { least: number };

const day = 86_400;

function options(element: HTMLElement, f: I18n['f'], latest: Latest): uPlot.Options {
  const colour = (name: string) => getComputedStyle(element).getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour('--text-2'),
    font: '12px "Inter Variable", "Inter Fallback", sans-serif',
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  };
  const { series, from, to } = latest().data;
  const time = (seconds: number) =>
    to - from > 2 * day
      ? f.dayClock(seconds * 1000)
      : to - from > 3_600
        ? f.clockShort(seconds * 1000)
        : f.clock(seconds * 1000);
  return {
    ...sizeOf(element),
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: 'time' },
      drag: { x: true, y: false, setScale: false },
      y: false,
      points: { size: 7, width: 2, fill: colour('--surface') },
    },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: () => [latest().data.from, latest().data.to] },
      y: { range: (_self, _min, max) => [0, Math.max(latest().least, (max ?? 0) * 1.12)] },
    },
    axes: [
      { ...axis, size: 28, space: 90, values: (_self, splits) => splits.map(time) },
      { ...axis, size: 58, space: 44, values: (_self, splits) => splits.map((s) => latest().format(s)) },
    ],
    series: [
      {},
      ...series.map(
        (s): uPlot.Series => ({
          stroke: colour(s.colour),
          width: 1.75,
          spanGaps: false,
          ...(s.dashed && { dash: [5, 4] }),
          ...(s.fill && { fill: `${colour(s.colour)}22` }),
          points: { show: (self, i) => alone(self.data[i]) },
        }),
      ),
    ],
    hooks: {
      setCursor: [
        (self) => {
          const index = self.cursor.idx;
          latest().onPoint(index == null || (self.cursor.left ?? -1) < 0 ? undefined : index);
        },
      ],
      setSelect: [
        (self) => {
          const { left, width } = self.select;
          if (width < 8) return;
          latest().onZoom?.(self.posToVal(left, 'x'), self.posToVal(left + width, 'x'));
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Whether only a few values are known, which lines alone would hardly show. */
const alone = (values: ArrayLike<unknown> | undefined): boolean => {
  let known = 0;
  for (let i = 0; i < (values?.length ?? 0) && known < 3; i++) if (values?.[i] != null) known++;
  return known < 3;
};
