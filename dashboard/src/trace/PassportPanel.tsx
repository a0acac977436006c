import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CircleCheckBig, CircleSlash, Copy, OctagonX } from 'lucide-react';
import type { ReactNode } from 'react';
import type { TraceEvent } from '../api/types';
import { useApi } from '../app/scope';
import { micros } from '../i18n/format';
import { lookup, useI18n } from '../i18n/i18n';
import { CopyButton } from '../ui/CopyButton';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark, type Tone } from '../ui/Mark';
import { type Duplicate, duplicatesQuery, type Passport, type PassportEntry, passportQuery } from './passport';
import classes from './passport.module.css';

const outcomes: Record<Passport['outcome'], { tone: Tone; icon: ReactNode }> = {
  stored: { tone: 'ok', icon: <CircleCheckBig size={13} aria-hidden /> },
  duplicate: { tone: 'idle', icon: <Copy size={13} aria-hidden /> },
  dropped: { tone: 'idle', icon: <CircleSlash size={13} aria-hidden /> },
  dead_lettered: { tone: 'bad', icon: <OctagonX size={13} aria-hidden /> },
  passed: { tone: 'ok', icon: <CircleCheckBig size={13} aria-hidden /> },
};

/** What became of an event since it happened, and of its copies. */
export function PassportPanel({ event }: { event: TraceEvent }) {
  const { t, f } = useI18n();
  const api = useApi();
  const { data, error, refetch, isFetching } = useQuery(passportQuery(api, event.uid));
  const copies = useQuery({ ...duplicatesQuery(api, event.correlation_id), enabled: (data?.copies ?? 0) > 0 });
  if (!data && error) return <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />;
  if (!data) return <Skeleton height={220} mt={12} />;

  const delay = Math.round((micros(event.received_at) - micros(event.timestamp)) / 1000);
  const { tone, icon } = outcomes[data.outcome];
  // That it was received, and when, is told above.
  const became = (data.entries ?? []).filter((entry) => entry.verdict !== 'received');
  const own = (copies.data ?? []).filter((copy) => copy.of === event.uid);
  return (
    <div className={classes.passport} data-testid="passport">
      <p className={classes.outcome}>
        <Mark tone={tone} icon={icon}>
          {t.journey.passport.outcome[data.outcome] ?? data.outcome}
        </Mark>
        <span className="secondary">{t.journey.passport.outcomeHint[data.outcome]}</span>
      </p>
      <ol className={classes.steps}>
        <Step at={event.timestamp} title={t.journey.passport.occurred}>
          {lookup(t.trace.quality, event.time_quality ?? 'exact')}
        </Step>
        <Step at={event.received_at} title={t.journey.passport.received}>
          {Math.abs(delay) < 1000
            ? t.journey.passport.atOnce
            : delay > 0
              ? t.journey.passport.after(f.duration(delay))
              : t.journey.passport.before(f.duration(-delay))}
          {' · '}
          {event.source}
        </Step>
        {became.map((entry) => (
          <Entry key={`${entry.at} ${entry.verdict} ${entry.pipeline ?? ''} ${entry.stage ?? ''}`} entry={entry} />
        ))}
        {data.outcome === 'stored' && (
          <Step title={t.journey.passport.stored} tone="ok">
            {became.length > 0 ? null : t.journey.passport.storedHint}
          </Step>
        )}
      </ol>
      {data.copies > 0 && (
        <section aria-label={t.journey.passport.copies}>
          <h3 className={classes.heading}>{t.journey.passport.copiesCount(data.copies, f.count(data.copies))}</h3>
          <ul className={classes.copies}>
            {own.map((copy) => (
              <CopyRow key={copy.uid} copy={copy} />
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function Step({
  at,
  title,
  tone = 'idle',
  children,
}: {
  at?: string;
  title: string;
  tone?: Tone;
  children?: ReactNode;
}) {
  const { f } = useI18n();
  return (
    <li className={classes.step} data-tone={tone}>
      <div className={classes.line}>
        <strong>{title}</strong>
        {at && (
          <time dateTime={at} className="num secondary">
            {f.here(at)}
          </time>
        )}
      </div>
      {children && <div className={classes.detail}>{children}</div>}
    </li>
  );
}

const tones: Readonly<Record<string, Tone>> = {
  rejected: 'bad',
  failed: 'bad',
  redriven: 'move',
  passed: 'ok',
  received: 'idle',
};

/** One thing that was noted of the event: which stage said what, why, and who did something about it. */
function Entry({ entry }: { entry: PassportEntry }) {
  const { t, f } = useI18n();
  const where = [entry.pipeline, entry.stage].filter(Boolean).join(' › ');
  return (
    <Step
      at={entry.at}
      title={lookup(t.journey.passport.verdict, entry.verdict) ?? entry.verdict}
      tone={tones[entry.verdict] ?? 'idle'}
    >
      {where && <span className="mono">{where}</span>}
      <Effort entry={entry} />
      {entry.reason && <code className={`${classes.reason} mono`}>{entry.reason}</code>}
      {entry.attempts && entry.attempts > 1 ? (
        <span>{t.journey.passport.attempts(entry.attempts, f.count(entry.attempts))}</span>
      ) : null}
      {entry.who && <span>{t.journey.passport.by(entry.who)}</span>}
      {entry.message && (
        <p lang="en">
          {entry.message} {entry.field && <code className="mono">{entry.field}</code>}
        </p>
      )}
      {entry.of && <Reference label={t.journey.passport.copyOf} value={entry.of} />}
      {entry.dead_letter_id && (
        <Link to="/dead-letters" search={{ letter: entry.dead_letter_id }}>
          {t.journey.passport.letter}
        </Link>
      )}
      {entry.trace_id && <Reference label={t.journey.passport.traceId} value={entry.trace_id} />}
    </Step>
  );
}

/** How long the event waited for the stage and how long that took: hollow is waiting, solid is work. */
function Effort({ entry }: { entry: PassportEntry }) {
  const { t, f } = useI18n();
  const { took_ms: took, waited_ms: waited, batch_events: batch } = entry;
  if (took === undefined) return null;
  const whole = took + (waited ?? 0);
  const words = t.journey.passport;
  return (
    <span className={classes.effort} title={entry.config_version && words.version(entry.config_version)}>
      {whole > 0 && (
        <span className={classes.waterfall} aria-hidden>
          <span style={{ flexGrow: waited ?? 0 }} />
          <span style={{ flexGrow: took }} />
        </span>
      )}
      <span className="num">
        {waited === undefined ? words.took(f.ms(took)) : words.waited(f.ms(waited), f.ms(took))}
        {batch !== undefined && batch > 1 && ` · ${words.batch(f.count(batch))}`}
      </span>
    </span>
  );
}

function Reference({ label, value }: { label: string; value: string }) {
  const { t } = useI18n();
  return (
    <span className={classes.reference}>
      {label} <code className="mono">{value}</code>
      <CopyButton value={value} label={`${t.trace.copyId}: ${value}`} />
    </span>
  );
}

function CopyRow({ copy }: { copy: Duplicate }) {
  const { t, f } = useI18n();
  const later = copy.later_seconds;
  return (
    <li>
      <div className={classes.line}>
        <span>{copy.how ? t.journey.passport.how[copy.how](copy.source) : copy.source}</span>
        <time dateTime={copy.received_at} className="num secondary">
          {f.here(copy.received_at)}
        </time>
      </div>
      <div className={classes.detail}>
        {later !== undefined && (
          <span className="num">
            {later >= 0
              ? t.journey.passport.later(f.duration(later * 1000))
              : t.journey.passport.earlier(f.duration(-later * 1000))}
          </span>
        )}
        <span className="mono">
          {copy.pipeline} › {copy.stage}
        </span>
        <code className={`${classes.reason} mono`}>{copy.code}</code>
        <CopyButton value={copy.uid} label={`${t.trace.copyId}: ${copy.uid}`} />
      </div>
    </li>
  );
}
