import { Button } from '@mantine/core';
import { ChartLine, Table2 } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import { Card } from './Card';
import classes from './chart.module.css';
import { type ChartData, TimeChart } from './TimeChart';

interface ChartCardProps {
  id: string;
  title: string;
  note?: ReactNode;
  data: ChartData;
  /** Writes a value with its unit. */
  value: (value: number | undefined) => string;
  /** Writes a value of the axis; with the unit where that differs from value to value. */
  axis?: (value: number) => string;
  least?: number;
  /** What the chart says, for who cannot see it. */
  label: string;
  /** Said over an empty chart. */
  empty?: string | undefined;
  onZoom?: (from: number, to: number) => void;
  className?: string;
}

/** Rows of the table behind a chart: what a reader can take in. */
const tableRows = 60;

/** Lines over time with their names and values, and the table behind them. */
export function ChartCard({
  id,
  title,
  note,
  data,
  value,
  axis,
  least,
  label,
  empty,
  onZoom,
  className,
}: ChartCardProps) {
  const { t, f } = useI18n();
  const [table, setTable] = useState(false);
  const [point, setPoint] = useState<number>();
  const index = point !== undefined && point < data.at.length ? point : undefined;
  const at = index === undefined ? undefined : data.at[index];
  const shown = (values: readonly (number | null)[]) =>
    (index === undefined ? values.findLast((v) => v !== null) : values[index]) ?? undefined;
  return (
    <Card
      {...(className && { className })}
      titleId={id}
      title={title}
      note={note}
      actions={
        <Button
          variant="default"
          size="compact-sm"
          leftSection={table ? <ChartLine size={14} aria-hidden /> : <Table2 size={14} aria-hidden />}
          onClick={() => setTable(!table)}
        >
          {table ? t.chart.showChart : t.chart.showTable}
        </Button>
      }
    >
      <div className={classes.legend}>
        {data.series.map((s) => (
          <span key={s.key} className={classes.item}>
            <span className={classes.key} style={{ background: `var(${s.colour})` }} aria-hidden />
            {s.label}
            <strong className="num" data-testid={`${id}-${s.key}`}>
              {value(shown(s.values))}
            </strong>
          </span>
        ))}
        <span className={`${classes.when} num`}>{at !== undefined && f.clock(at * 1000)}</span>
      </div>
      <div className={classes.plot} data-testid={`${id}-chart`}>
        {table ? (
          <Behind data={data} value={value} title={title} />
        ) : (
          <>
            <TimeChart
              data={data}
              label={label}
              format={axis ?? value}
              {...(least !== undefined && { least })}
              onPoint={setPoint}
              {...(onZoom && { onZoom })}
            />
            {empty && <p className={classes.note}>{empty}</p>}
          </>
        )}
      </div>
    </Card>
  );
}

function Behind({ data, value, title }: Pick<ChartCardProps, 'data' | 'value' | 'title'>) {
  const { t, f } = useI18n();
  const step = Math.max(1, Math.ceil(data.at.length / tableRows));
  const rows = data.at.map((at, i) => ({ at, i })).filter(({ i }) => (data.at.length - 1 - i) % step === 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.scroll} tabIndex={0} aria-label={title}>
      <table className={`${classes.table} num`}>
        <caption>{t.chart.caption(title)}</caption>
        <thead>
          <tr>
            <th scope="col">{t.chart.time}</th>
            {data.series.map((s) => (
              <th scope="col" key={s.key}>
                {s.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map(({ at, i }) => (
            <tr key={at}>
              <th scope="row">{f.dayClock(at * 1000)}</th>
              {data.series.map((s) => (
                <td key={s.key}>{value(s.values[i] ?? undefined)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
