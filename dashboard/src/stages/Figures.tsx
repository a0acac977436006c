import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Schema } from '../api/typed';
import { metricsQuery, queuesQuery, refreshOf } from '../app/figures';
import { useApi } from '../app/scope';
import { absolute, useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import type { LiveState, StageGauge } from '../live/stream';
import { ChartCard } from '../ui/ChartCard';
import { HealthMark } from '../ui/HealthMark';
import { LiveText } from '../ui/LiveText';
import { chartOf } from '../ui/metrics';
import { Distribution } from './Distribution';
import classes from './stages.module.css';

const outcomes = ['pass', 'drop', 'reject', 'retry', 'emit'] as const;
const quantiles = ['p50', 'p95', 'p99'] as const;

const outcomeColour = { pass: '--ok', drop: '--dedupe', reject: '--bad', retry: '--warn', emit: '--other' } as const;
const quantileColour = { p50: '--enrich', p95: '--validate', p99: '--other' } as const;

/** What becomes of events at a stage over time, and how long its batches take. */
export function Figures({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t, f } = useI18n();
  const api = useApi();
  const [range, setRange] = useRange();
  // What never happens at this stage would be a line along the bottom.
  const shown = outcomes.filter((o) => o === 'pass' || (stage.outcomes[o] ?? 0) > 0);
  const series = [...outcomes.map((o) => `${o}:${stage.id}`), ...quantiles.map((q) => `took.${q}:${stage.id}`)];
  const metrics = useQuery({ ...metricsQuery(api, range, series), refetchInterval: useInterval(refreshOf(range)) });
  const zoom = (from: number, to: number) => setRange(absolute(from * 1000, to * 1000));
  const rate = (n: number | undefined) => `${f.rate(n)} ${t.overview.perSecond}`;
  const byOutcome = chartOf(
    metrics.data,
    range,
    shown.map((o) => ({
      key: `${o}:${stage.id}`,
      label: t.stages.outcomes[o],
      colour: outcomeColour[o],
      fill: o === 'pass',
    })),
  );
  const took = chartOf(
    metrics.data,
    range,
    quantiles.map((q) => ({ key: `took.${q}:${stage.id}`, label: q, colour: quantileColour[q], fill: q === 'p50' })),
  );
  const waiting = metrics.data ? undefined : t.overview.waiting;
  return (
    <>
      <Now stage={stage} />
      <div className={classes.charts}>
        <ChartCard
          id="outcomes"
          title={t.stages.outcomesTitle}
          data={byOutcome}
          value={rate}
          axis={f.rate}
          label={t.stages.outcomesLabel}
          empty={waiting}
          onZoom={zoom}
        />
        <ChartCard
          id="took"
          title={t.stages.took}
          data={took}
          value={f.ms}
          least={1}
          label={t.stages.tookLabel}
          empty={waiting ?? (took.series.every((s) => s.values.every((v) => v === null)) ? t.stages.idle : undefined)}
          onZoom={zoom}
        />
        <Distribution stage={stage} />
        <Totals stage={stage} />
      </div>
    </>
  );
}

const now = (s: LiveState, stage: Schema<'StageDetail'>): StageGauge => s.stages[stage.id] ?? stage.now;

/** The figures of this moment. */
function Now({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t, f } = useI18n();
  const api = useApi();
  const queues = useQuery({ ...queuesQuery(api), refetchInterval: useInterval(5_000) });
  const queue = queues.data?.items?.find((q) => q.topic === stage.topic && q.reader === stage.pipeline);
  const unit = <span className={classes.unit}>{t.overview.perSecond}</span>;
  return (
    <dl className={classes.now}>
      <Fact label={t.stages.in}>
        <LiveText className="num" text={(s) => f.rate(now(s, stage).in_per_second)} />
        {unit}
      </Fact>
      <Fact label={t.stages.out}>
        <LiveText className="num" text={(s) => f.rate(now(s, stage).out_per_second)} testId="stage-out" />
        {unit}
      </Fact>
      <Fact label={t.stages.retries}>
        <LiveText className="num" text={(s) => f.rate(now(s, stage).retried_per_second)} />
        {unit}
      </Fact>
      <Fact label={t.stages.age}>
        <LiveText className="num" text={(s) => f.ms(now(s, stage).age_ms)} />
      </Fact>
      <Fact label={t.stages.fill} hint={t.stages.fillHint}>
        <span className="num">{stage.batch_fill === undefined ? t.time.unknown : f.percent(stage.batch_fill)}</span>
      </Fact>
      <Fact label={t.stages.workers} hint={t.stages.workersHint(stage.workers, stage.processes)}>
        <span className="num">{f.count(stage.workers * stage.processes)}</span>
      </Fact>
      <Fact label={t.stages.waiting}>
        {queue ? (
          <Link to="/queues" className={`${classes.queueLink} num`}>
            {queue.depth === undefined ? t.time.unknown : f.count(queue.depth)}
            {queue.health !== 'ok' && <HealthMark health={queue.health} />}
          </Link>
        ) : (
          t.time.unknown
        )}
      </Fact>
    </dl>
  );
}

function Fact({ label, hint, children }: { label: string; hint?: string; children: ReactNode }) {
  return (
    <div title={hint}>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What became of all events of the window. */
function Totals({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t, f } = useI18n();
  const all = outcomes.reduce((sum, o) => sum + (o === 'emit' || o === 'retry' ? 0 : (stage.outcomes[o] ?? 0)), 0);
  return (
    <section className={classes.totals} aria-labelledby="totals">
      <h2 id="totals">{t.stages.totals}</h2>
      <table className="num">
        <tbody>
          {outcomes.map((o) => {
            const n = stage.outcomes[o] ?? 0;
            return (
              <tr key={o}>
                <th scope="row">
                  <span className={classes.key} style={{ background: `var(${outcomeColour[o]})` }} aria-hidden />
                  {t.stages.outcomes[o]}
                </th>
                <td>{f.count(n)}</td>
                <td className="secondary">{all > 0 && n > 0 ? f.percent(n / all) : ''}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {(stage.outcomes.reject ?? 0) > 0 && (
        <Link to="/dead-letters" search={{ pipeline: stage.pipeline, stage: stage.name }}>
          {t.stages.seeLetters}
        </Link>
      )}
    </section>
  );
}
