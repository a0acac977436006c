import { Button } from '@mantine/core';
import { ChartLine, Table2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { chartStart, lastWindow, rateAt, rateSeries, type Sample } from '../live/series';
import { Card } from '../ui/Card';
import classes from './overview.module.css';
import { RateChart } from './RateChart';

const chartWindow = 300_000;
const margin = 120_000;
const smooth = 5_000;
const drawn = ['accepted', 'stored'] as const;

/** Accepted against stored, over the last five minutes: as a chart, or as the table behind it. */
export function Throughput() {
  const { t, f } = useI18n();
  const samples = useLive((s) => s.samples);
  const [table, setTable] = useState(false);
  const [at, setAt] = useState<number>();
  const shown = useMemo(() => lastWindow(samples, chartWindow), [samples]);
  // A little more than is shown, so that the line comes in from the edge.
  const series = useMemo(() => rateSeries(lastWindow(samples, chartWindow + margin), drawn, smooth), [samples]);
  const index = at === undefined ? -1 : series.at.indexOf(at);
  const value = (name: (typeof drawn)[number]) =>
    index >= 0 ? (series.rates[name][index] ?? undefined) : rateAt(samples, name, smooth);
  const hovered = index >= 0 ? at : undefined;
  const idle = shown.length > 1 && shown.every((s) => s.accepted === shown[0]?.accepted);

  return (
    <Card
      className={classes.throughput}
      titleId="throughput"
      title={t.overview.throughput}
      note={<span className={classes.chartNote}>{t.overview.throughputNote}</span>}
      actions={
        <Button
          variant="default"
          size="compact-sm"
          leftSection={table ? <ChartLine size={14} aria-hidden /> : <Table2 size={14} aria-hidden />}
          onClick={() => setTable(!table)}
        >
          {table ? t.overview.showChart : t.overview.showTable}
        </Button>
      }
    >
      <div className={classes.legend}>
        {drawn.map((name) => (
          <span key={name} className={classes.legendItem}>
            <span className={classes.key} data-name={name} aria-hidden />
            {t.overview.kpi[name]}
            <strong className="num">{f.rate(value(name))}</strong>
            <span className={classes.unit}>{t.overview.perSecond}</span>
          </span>
        ))}
        <span className={`${classes.legendTime} num secondary`}>
          {hovered !== undefined && f.clock(hovered * 1000)}
        </span>
      </div>
      <div className={classes.plot}>
        {table ? (
          <RateTable samples={shown} />
        ) : (
          <>
            <RateChart
              series={series}
              start={chartStart(samples, chartWindow) / 1000}
              label={t.overview.throughputSummary(
                f.rate(rateAt(samples, 'accepted', smooth)),
                f.rate(rateAt(samples, 'stored', smooth)),
              )}
              onPoint={setAt}
            />
            {samples.length < 2 && <p className={classes.plotNote}>{t.overview.waiting}</p>}
            {idle && <p className={classes.plotNote}>{t.overview.idle}</p>}
          </>
        )}
      </div>
    </Card>
  );
}

/** One row in ten seconds: what a reader can take in. */
const tableStep = 10_000;

function RateTable({ samples }: { samples: readonly Sample[] }) {
  const { t, f } = useI18n();
  const rows: { at: number; accepted?: number; stored?: number }[] = [];
  for (let i = samples.length - 1; i > 0; i--) {
    const s = samples[i];
    const last = rows.at(-1);
    if (!s || (last && Math.floor(s.at / tableStep) === Math.floor(last.at / tableStep))) continue;
    rows.push({
      at: s.at,
      accepted: rateAt(samples, 'accepted', tableStep, i),
      stored: rateAt(samples, 'stored', tableStep, i),
    });
  }
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.tableScroll} tabIndex={0} aria-label={t.overview.tableCaption}>
      <table className={`${classes.table} num`}>
        <caption>{t.overview.tableCaption}</caption>
        <thead>
          <tr>
            <th scope="col">{t.overview.time}</th>
            <th scope="col">{t.overview.kpi.accepted}</th>
            <th scope="col">{t.overview.kpi.stored}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.at}>
              <th scope="row">{f.clock(row.at)}</th>
              <td>{f.rate(row.accepted)}</td>
              <td>{f.rate(row.stored)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
