import { Tooltip } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { TrendingDown, TrendingUp } from 'lucide-react';
import type { ReactNode } from 'react';
import { type AlertList, firing } from '../alerts/queries';
import { healthOf } from '../alerts/sentence';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import { lastWindow, rateAt, rateSeries } from '../live/series';
import { oldestAge } from '../live/stream';
import { worst } from '../topology/health';
import { LiveText } from '../ui/LiveText';
import { Spark } from '../ui/Spark';
import classes from './overview.module.css';

/** Rates are means over ten seconds: an eye can follow them. */
const smooth = 10_000;
const sparkOf = 120_000;

/** The alerts that say that something is late. */
const lateKinds: readonly string[] = ['stage-late', 'queue-lag'];

interface KpisProps {
  overview: Schema<'Overview'> | undefined;
  alerts: AlertList | undefined;
  /** The latencies of the range, for the line below the figure. */
  p95: readonly (number | null)[];
  letters: readonly (number | null)[];
}

/** Is it flowing, is it late, is it losing? */
export function Kpis({ overview, alerts, p95, letters }: KpisProps) {
  const { t, f } = useI18n();
  const samples = useLive((s) => s.samples);
  const ages = useLive((s) => s.ages);
  const age = worst(firing(alerts).flatMap((a) => (lateKinds.includes(a.kind) ? healthOf(a.severity) : [])));
  const stored = rateSeries(lastWindow(samples, sparkOf), ['stored'], 5_000).rates.stored;
  const hint = t.overview.kpi;
  const latency = overview?.latency;
  const open = overview?.dead_letters_open;
  return (
    <ul className={classes.kpis}>
      <Kpi
        label={hint.stored}
        hint={hint.storedHint}
        spark={<Spark values={stored} colour="--persist" top={1} />}
        delta={<Delta kpi={overview?.stored_per_second} good="up" />}
        note={
          <>
            <LiveText
              className="num"
              testId="kpi-total"
              text={(s) => f.count(s.samples.at(-1)?.stored ?? Number.NaN)}
            />{' '}
            {t.overview.totalLabel}
          </>
        }
      >
        <LiveText className="num" testId="rate-stored" text={(s) => f.rate(rateAt(s.samples, 'stored', smooth))} />
        <span className={classes.unit}>{t.overview.perSecond}</span>
      </Kpi>
      <Kpi
        label={hint.latency}
        hint={hint.latencyHint}
        spark={<Spark values={p95} colour="--validate" />}
        delta={<Delta kpi={overview?.p95_ms} good="down" />}
        note={
          <span className="num">{latency ? hint.latencyNote(f.ms(latency.p50_ms), f.ms(latency.p99_ms)) : ' '}</span>
        }
      >
        <LiveText
          className="num"
          testId="kpi-latency"
          text={(s) => f.ms(s.latency?.p95_ms ?? overview?.p95_ms?.value)}
        />
      </Kpi>
      <Kpi
        label={hint.oldest}
        hint={hint.oldestHint}
        tone={age}
        spark={<Spark values={ages} colour="--ingest" />}
        note={
          <>
            <LiveText className="num" testId="kpi-in-flight" text={(s) => f.count(s.inFlight ?? Number.NaN)} />{' '}
            {t.overview.inFlight}
          </>
        }
      >
        <LiveText className="num" testId="kpi-oldest" text={(s) => f.ms(oldestAge(s.stages) ?? overview?.oldest_ms)} />
      </Kpi>
      <Kpi
        label={hint.deadLetters}
        hint={hint.deadLettersHint}
        tone={(open ?? 0) > 0 ? 'bad' : 'ok'}
        spark={<Spark values={letters} colour="--bad" top={0.1} />}
        note={open === undefined ? ' ' : hint.lastHour(f.count(overview?.dead_letters_last_hour ?? 0))}
      >
        {open === undefined ? (
          <LiveText className="num" testId="kpi-letters" text={(s) => f.count(s.latest?.dead_letters ?? Number.NaN)} />
        ) : (
          <Link to="/dead-letters" className={`${classes.kpiLink} num`} data-testid="kpi-letters">
            {f.count(open)}
          </Link>
        )}
      </Kpi>
    </ul>
  );
}

interface KpiProps {
  label: string;
  hint: string;
  children: ReactNode;
  note: ReactNode;
  spark: ReactNode;
  delta?: ReactNode;
  tone?: string;
}

function Kpi({ label, hint, children, note, spark, delta, tone }: KpiProps) {
  return (
    <li className={classes.kpi} data-tone={tone}>
      <Tooltip label={hint} withArrow multiline w={260} openDelay={300}>
        <h2 className={classes.kpiLabel}>{label}</h2>
      </Tooltip>
      <div className={classes.kpiLine}>
        <p className={classes.kpiValue}>{children}</p>
        {delta}
      </div>
      <p className={classes.kpiNote}>{note}</p>
      <div className={classes.kpiSpark}>{spark}</div>
    </li>
  );
}

/** A change below this share is none. */
const steady = 0.01;

/** By how much a figure changed against the window before. */
function Delta({ kpi, good }: { kpi: Schema<'KPI'> | undefined; good: 'up' | 'down' }) {
  const { t, f } = useI18n();
  const delta = kpi?.delta;
  if (delta === undefined || !Number.isFinite(delta)) return null;
  const up = delta > 0;
  const tone = Math.abs(delta) < 0.1 ? 'idle' : up === (good === 'up') ? 'ok' : 'warn';
  const Icon = up ? TrendingUp : TrendingDown;
  return (
    <span className={`${classes.delta} num`} data-tone={tone} title={t.overview.kpi.delta}>
      {Math.abs(delta) >= steady && <Icon size={13} aria-hidden />}
      {f.change(delta)}
    </span>
  );
}
