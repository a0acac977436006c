import type { Schema } from '../api/typed';
import { absolute, type Range, useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { chartStart, lastWindow, rateSeries, type Sample } from '../live/series';
import { ChartCard } from '../ui/ChartCard';
import { chartOf } from '../ui/metrics';
import type { ChartData } from '../ui/TimeChart';
import classes from './overview.module.css';
import { LagChart, SettledChart } from './RangeCharts';

/** Up to this length a range is shown by the second, as the stream tells it. */
export const liveUpTo = 900_000;
/** Rates are means over this long at least, in milliseconds. */
const least = 5_000;
const margin = 30_000;

const isLive = (range: Range): boolean => range.kind === 'relative' && range.ms <= liveUpTo;

interface ChartsProps {
  /** Undefined while it is not known, and for who may not know. */
  metrics: Schema<'Metrics'> | undefined;
  stages: readonly Schema<'Stage'>[] | undefined;
  withLatency: boolean;
}

/** What came and what was stored, and how long that took, over the range. */
export function Charts({ metrics, stages, withLatency }: ChartsProps) {
  const { t, f } = useI18n();
  const [range, setRange] = useRange();
  const zoom = (from: number, to: number) => setRange(absolute(from * 1000, to * 1000));
  const rate = (n: number | undefined) => `${f.rate(n)} ${t.overview.perSecond}`;
  const colours = { accepted: '--ingest', stored: '--persist', dead_letters: '--bad' };
  const names = {
    accepted: t.overview.kpi.accepted,
    stored: t.overview.kpi.stored,
    dead_letters: t.overview.kpi.deadLetters,
  };
  const rates = chartOf(
    metrics,
    range,
    (['accepted', 'stored', 'dead_letters'] as const).map((key) => ({
      key,
      label: names[key],
      colour: colours[key],
      fill: key === 'stored',
    })),
  );
  const latencies = chartOf(
    metrics,
    range,
    (['p50', 'p95', 'p99'] as const).map((key, i) => ({
      key,
      label: key,
      colour: ['--enrich', '--validate', '--other'][i] ?? '--text-2',
      fill: key === 'p50',
    })),
  );
  return (
    <div className={classes.charts} data-one={!withLatency || undefined}>
      {isLive(range) ? (
        <LiveThroughput ms={range.ms} rate={rate} />
      ) : (
        <ChartCard
          id="throughput"
          title={t.overview.throughput}
          data={rates}
          value={rate}
          axis={f.rate}
          least={1}
          label={t.overview.throughputSummary}
          empty={metrics ? undefined : t.overview.waiting}
          onZoom={zoom}
        />
      )}
      {withLatency && (
        <ChartCard
          id="latency"
          title={t.overview.latency}
          data={latencies}
          value={f.ms}
          least={10}
          label={t.overview.latencySummary}
          empty={
            !metrics
              ? t.overview.waiting
              : latencies.series.every((s) => s.values.every((v) => v === null))
                ? t.overview.noLatency
                : undefined
          }
          onZoom={zoom}
        />
      )}
      {withLatency && <LagChart stages={stages} />}
      {withLatency && <SettledChart metrics={metrics} />}
    </div>
  );
}

function LiveThroughput({ ms, rate }: { ms: number; rate: (n: number | undefined) => string }) {
  const { t, f } = useI18n();
  const [, setRange] = useRange();
  const samples = useLive((s) => s.samples);
  // A longer range is drawn calmer: more of its points share a pixel.
  const smooth = Math.max(least, ms / 90);
  const data = liveData(samples, ms, smooth, t.overview.kpi);
  const shown = lastWindow(samples, ms);
  const idle = shown.length > 1 && shown.every((s) => s.accepted === shown[0]?.accepted);
  return (
    <ChartCard
      id="throughput"
      title={t.overview.throughput}
      note={t.overview.throughputNote(f.duration(smooth))}
      data={data}
      value={rate}
      axis={f.rate}
      least={4}
      label={t.overview.throughputSummary}
      empty={samples.length < 2 ? t.overview.waiting : idle ? t.overview.idle : undefined}
      onZoom={(from, to) => setRange(absolute(from * 1000, to * 1000))}
    />
  );
}

function liveData(
  samples: readonly Sample[],
  ms: number,
  smooth: number,
  names: { accepted: string; stored: string },
): ChartData {
  // A little more than is shown, so that the line comes in from the edge.
  const { at, rates } = rateSeries(lastWindow(samples, ms + margin), ['accepted', 'stored'], smooth);
  const to = at.at(-1) ?? 60;
  return {
    at,
    series: [
      { key: 'accepted', label: names.accepted, colour: '--ingest', values: rates.accepted },
      { key: 'stored', label: names.stored, colour: '--persist', values: rates.stored, fill: true },
    ],
    from: at.length === 0 ? 0 : chartStart(samples, ms) / 1000,
    to,
  };
}
