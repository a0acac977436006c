import { Tooltip } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { CloudOff, History, Info, Link2, MapPin, TriangleAlert } from 'lucide-react';
import type { Trace } from '../api/types';
import { lookup, useI18n } from '../i18n/i18n';
import type { Found } from '../search/find';
import { CopyButton } from '../ui/CopyButton';
import { useNow } from '../ui/useNow';
import { ExportMenu } from './ExportMenu';
import { KindIcon } from './icons';
import { Legs } from './Legs';
import { MilestoneBar } from './MilestoneBar';
import type { Past } from './moments';
import { Pieces } from './Pieces';
import { lastPlaceOf } from './place';
import { ExceptionMark, StatusMark } from './StatusMark';
import classes from './trace.module.css';

interface TraceHeaderProps {
  found: Found;
  id: string;
  outdated: boolean;
  /** Set when the trace is told as it was. */
  past: Past | undefined;
}

/** What it is, where it is and how far it has come. */
export function TraceHeader({ found, id, outdated, past }: TraceHeaderProps) {
  const { t, f } = useI18n();
  const { trace, by } = found;
  return (
    <section className={classes.head} aria-labelledby="trace-id">
      <div className={classes.headTop}>
        <div className={classes.identity}>
          <p className={classes.kind}>
            <KindIcon kind={trace.kind} size={16} />
            {t.trace.kind[trace.kind ?? 'none'] ?? trace.kind}
          </p>
          <h1 className={classes.id} id="trace-id">
            <span className="mono">{trace.correlation_id}</span>
            <CopyButton value={trace.correlation_id} label={t.trace.copyId} />
          </h1>
        </div>
        <div className={classes.headActions}>
          <CopyButton
            withLabel
            value={() => location.href}
            label={t.trace.copyLink}
            icon={<Link2 size={14} aria-hidden />}
          />
          <ExportMenu
            path="/api/v1/events"
            query={{ correlationId: [trace.correlation_id], sort: 'occurred_at', order: 'asc' }}
            name={`rastro-${trace.correlation_id}`}
            json={trace.rawText}
            print
          />
        </div>
        <div className={classes.marks} data-testid="trace-status">
          {trace.exception && <ExceptionMark code={trace.exception} large />}
          <StatusMark status={trace.status} kind={trace.kind} large />
        </div>
      </div>
      {past && (
        <p className={`${classes.notice} ${classes.warn}`} role="status">
          <History size={15} aria-hidden />
          {past.clock === 'asOf'
            ? t.journey.past.noticeAsOf(f.here(past.at))
            : t.journey.past.noticeKnownAt(f.here(past.at))}
        </p>
      )}
      {by === 'event' && (
        <p className={classes.notice}>
          <Info size={15} aria-hidden />
          {t.journey.eventByUid(id)}
        </p>
      )}
      {found.others && found.others.length > 0 && (
        <p className={classes.notice}>
          <Info size={15} aria-hidden />
          <span>
            {t.journey.alsoFound}
            {found.others.map((other) => (
              <Link key={other} to="/traces/$id" params={{ id: other }} className={`${classes.other} mono`}>
                {other}
              </Link>
            ))}
          </span>
        </p>
      )}
      {by === 'aggregate' && (
        <p className={classes.notice}>
          <Info size={15} aria-hidden />
          {t.trace.foundByAggregate(id, trace.correlation_id)}
        </p>
      )}
      {outdated && (
        <p className={`${classes.notice} ${classes.warn}`} role="status">
          <CloudOff size={15} aria-hidden />
          {t.error.stale}
        </p>
      )}
      {(trace.anomalies ?? []).map((code) => (
        <p className={`${classes.notice} ${classes.warn}`} key={code}>
          <TriangleAlert size={15} aria-hidden />
          {lookup(t.trace.anomaly, code) ?? code}
        </p>
      ))}
      <Facts trace={trace} />
      <MilestoneBar trace={trace} />
      <div className={classes.sections}>
        {trace.pieces && trace.pieces.total > 1 && <Pieces pieces={trace.pieces} kind={trace.kind} />}
        {trace.legs && trace.legs.length > 0 && <Legs legs={trace.legs} />}
      </div>
    </section>
  );
}

const shownAggregates = 3;

/** Whether a time is better told by how long ago it was than by its date. */
const recent = (age: number): boolean => age > -5_000 && age < 30 * 86_400_000;

function Facts({ trace }: { trace: Trace }) {
  const { t, f } = useI18n();
  const now = useNow(10_000);
  const place = lastPlaceOf(trace, f);
  const copies = Object.values(trace.copies ?? {}).reduce((sum, n) => sum + n, 0);
  const others = (trace.aggregates ?? []).filter((a) => a !== trace.correlation_id);
  const counts = [
    t.trace.eventCount(trace.event_count, f.count(trace.event_count)),
    trace.voided_count ? t.trace.voidedCount(trace.voided_count, f.count(trace.voided_count)) : undefined,
    trace.unknown_count ? t.trace.unknownCount(trace.unknown_count, f.count(trace.unknown_count)) : undefined,
    copies ? t.journey.copiesCount(copies, f.count(copies)) : undefined,
  ].filter(Boolean);
  const instant = (at: string) => {
    const ms = Date.parse(at);
    return (
      <Tooltip label={f.here(at)} withArrow>
        <time dateTime={at}>{recent(now - ms) ? f.ago(Math.max(0, now - ms)) : f.here(at)}</time>
      </Tooltip>
    );
  };
  return (
    <div className={classes.facts}>
      <p className={classes.where}>
        <MapPin size={16} aria-hidden />
        {place ? (
          <span>
            <strong>{place.name}</strong>
            {place.code && <span className={`${classes.code} mono`}>{place.code}</span>}
            {place.detail && <span className="secondary"> {place.detail}</span>}
          </span>
        ) : (
          <span className="secondary">{t.trace.unknownPlace}</span>
        )}
      </p>
      <dl className={classes.factList}>
        {trace.last_event_at && trace.event_count > 0 && (
          <div>
            <dt>{t.trace.lastEvent}</dt>
            <dd>{instant(trace.last_event_at)}</dd>
          </div>
        )}
        {trace.estimated_at && (
          <div>
            <dt>{t.trace.estimated}</dt>
            <dd>{instant(trace.estimated_at)}</dd>
          </div>
        )}
        {others.length > 0 && (
          <div>
            <dt>{t.trace.bags}</dt>
            <dd>
              {others.slice(0, shownAggregates).map((a) => (
                <span key={a} className={`${classes.aggregate} mono`}>
                  {a}
                </span>
              ))}
              {others.length > shownAggregates && (
                <span title={others.slice(shownAggregates).join(', ')}>
                  {t.trace.moreAggregates(others.length - shownAggregates)}
                </span>
              )}
            </dd>
          </div>
        )}
        <div>
          <dd className="num secondary">{counts.join(' · ')}</dd>
        </div>
      </dl>
    </div>
  );
}
