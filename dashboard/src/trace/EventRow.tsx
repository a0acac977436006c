import { Tooltip } from '@mantine/core';
import { ArrowRight, Clock4, Copy, EyeOff, FastForward, Flag, Replace, Shuffle, Undo } from 'lucide-react';
import type { ReactNode } from 'react';
import type { TraceEvent } from '../api/types';
import { wallTime, wallTimeAt } from '../i18n/format';
import { lookup, useI18n } from '../i18n/i18n';
import { Mark } from '../ui/Mark';
import { isActual, isPureVoid, type Marks, milestoneOf, type Order } from './chronology';
import { ExceptionIcon, MilestoneIcon } from './icons';
import { legName, legOf, placeOf } from './place';
import { ExceptionMark, exceptionTone, toneOf } from './StatusMark';
import { EventLinks } from './Timeline';
import classes from './timeline.module.css';

interface EventRowProps {
  event: TraceEvent;
  marks: Marks;
  order: Order;
  selected: boolean;
  onSelect: (uid: string) => void;
}

export function EventRow({ event, marks, order, selected, onSelect }: EventRowProps) {
  const { t } = useI18n();
  const milestone = milestoneOf(event);
  const exception = event.enrichment?.exception;
  const tone = exception ? exceptionTone(exception) : milestone ? toneOf(milestone) : 'idle';
  return (
    <li
      id={`event-${event.uid}`}
      className={classes.event}
      data-out={marks.out}
      data-planned={!isActual(event) || undefined}
      data-tone={tone}
      data-selected={selected || undefined}
    >
      <When event={event} order={order} />
      <span className={classes.rail}>
        <span className={classes.dot}>
          {isPureVoid(event) ? (
            <Undo size={14} aria-hidden />
          ) : !milestone && exception ? (
            <ExceptionIcon size={14} />
          ) : (
            <MilestoneIcon milestone={milestone ?? 'unknown'} kind={event.kind} size={14} />
          )}
        </span>
      </span>
      <div className={classes.body}>
        <div className={classes.first}>
          <button type="button" className={classes.title} aria-pressed={selected} onClick={() => onSelect(event.uid)}>
            <Title event={event} out={marks.out !== undefined} />
          </button>
          <code className={`${classes.code} mono`} title={event.event_type}>
            {event.event_type}
          </code>
          <Copies n={marks.copies} />
          <Badges event={event} marks={marks} />
        </div>
        <Where event={event} />
        {marks.out && (
          <p className={classes.note}>
            <Because event={event} marks={marks} onSelect={onSelect} />
          </p>
        )}
        {event.corrects && (
          <p className={classes.note}>
            <Correcting event={event} marks={marks} onSelect={onSelect} />
          </p>
        )}
        <Received event={event} order={order} marks={marks} />
        <span className={classes.srOnly}>{t.trace.open}</span>
      </div>
    </li>
  );
}

function Title({ event, out }: { event: TraceEvent; out: boolean }) {
  const { t } = useI18n();
  const milestone = milestoneOf(event);
  const text = milestone
    ? t.trace.milestone[milestone]
    : isPureVoid(event)
      ? t.trace.correction
      : event.enrichment?.exception
        ? t.trace.exceptionLabel
        : t.trace.milestone.unknown;
  return out ? <s>{text}</s> : text;
}

/** The time by the clock of the place, as it was sent, or the time of reception when that is the order. */
function When({ event, order }: { event: TraceEvent; order: Order }) {
  const { t, f } = useI18n();
  const text = order === 'occurred' ? event.timestamp : event.received_at;
  const at = order === 'occurred' ? wallTime(text) : wallTimeAt(text, 0);
  const dateOnly = order === 'occurred' && event.time_quality === 'date_only';
  if (!at) return <span className={`${classes.when} mono`}>{text}</span>;
  return (
    <Tooltip label={t.time.yours(f.here(text))} withArrow position="right" openDelay={400}>
      <time className={`${classes.when} num`} dateTime={text}>
        <span className={classes.clock}>{dateOnly ? t.trace.quality.date_only : at.time}</span>
        {!dateOnly && <span className={classes.zone}>{f.zone(at.offset)}</span>}
      </time>
    </Tooltip>
  );
}

function Where({ event }: { event: TraceEvent }) {
  const { t, f } = useI18n();
  const place = placeOf(event, f);
  const leg = legOf(event);
  const { quantity } = event;
  const airline = event.enrichment?.airline?.name;
  if (!place && !leg && !quantity) return null;
  return (
    <p className={classes.where}>
      {place && (
        <span title={place.timeZone}>
          <span className={classes.place}>{place.name}</span>
          {place.code && <span className={`${classes.iata} mono`}>{place.code}</span>}
          {(place.facility || place.detail) && (
            <span className="secondary">{[place.facility, place.detail].filter(Boolean).join(' · ')}</span>
          )}
        </span>
      )}
      {leg && legName(leg) && (
        <span className={classes.leg} title={airline}>
          <span className="mono">{legName(leg)}</span>
          {leg.origin && leg.destination && (
            <span className={classes.route}>
              {leg.origin} <ArrowRight size={11} aria-hidden /> {leg.destination}
            </span>
          )}
          {leg.date && <span>{f.dayShort(leg.date)}</span>}
        </span>
      )}
      {quantity && (quantity.pieces || quantity.total_pieces) ? (
        <span className="num">
          {quantity.total_pieces && quantity.pieces && quantity.pieces < quantity.total_pieces
            ? `${t.trace.pieces}: ${t.trace.piecesOf(f.count(quantity.pieces), f.count(quantity.total_pieces))}`
            : t.trace.piecesTotal(
                quantity.pieces ?? quantity.total_pieces ?? 0,
                f.count(quantity.pieces ?? quantity.total_pieces ?? 0),
              )}
        </span>
      ) : null}
      {quantity?.weight ? (
        <span className="num">{t.trace.weight(f.decimal(quantity.weight), quantity.weight_unit ?? 'kg')}</span>
      ) : null}
    </p>
  );
}

function Received({ event, order, marks }: { event: TraceEvent; order: Order; marks: Marks }) {
  const { t, f } = useI18n();
  const occurred = wallTime(event.timestamp);
  // In the sender's own zone, so that both times can be compared by eye.
  const received = wallTimeAt(event.received_at, occurred?.offset ?? 0);
  const withDay = (at: NonNullable<typeof received>, other: typeof received) =>
    other?.date === at.date ? at.time : `${f.dayShort(at.date)}, ${at.time}`;
  return (
    <p className={`${classes.received} num`}>
      <span>
        {order === 'received' && occurred
          ? `${t.trace.occurredAt} ${withDay(occurred, wallTimeAt(event.received_at, 0))} ${f.zone(occurred.offset)}`
          : received && t.trace.receivedAt(withDay(received, occurred))}
      </span>
      <span>{t.trace.source(event.source)}</span>
      {event.revisionText && event.revisionText !== '0' && <span>{t.trace.revision(event.revisionText)}</span>}
      {marks.late !== undefined && (
        <Mark tone="warn" icon={<Clock4 size={12} aria-hidden />} title={t.trace.lateHint(f.duration(marks.late))}>
          {t.trace.late(f.duration(marks.late))}
        </Mark>
      )}
      {marks.ahead !== undefined && (
        <Mark tone="warn" icon={<FastForward size={12} aria-hidden />} title={t.trace.aheadHint}>
          {t.trace.ahead(f.duration(marks.ahead))}
        </Mark>
      )}
      {marks.outOfOrder && (
        <Mark tone="idle" icon={<Shuffle size={12} aria-hidden />} title={t.trace.outOfOrderHint}>
          {t.trace.outOfOrder}
        </Mark>
      )}
    </p>
  );
}

/** An event that came in several times is one row: how many times, and that the others do not count. */
function Copies({ n }: { n: number | undefined }) {
  const { t, f } = useI18n();
  if (!n) return null;
  return (
    <Mark tone="idle" icon={<Copy size={12} aria-hidden />} title={t.journey.copiesHint(n, f.count(n))}>
      <span className="num">{t.journey.copies(f.count(n + 1))}</span>
      <span className={classes.srOnly}>{t.journey.copiesHint(n, f.count(n))}</span>
    </Mark>
  );
}

function Badges({ event, marks }: { event: TraceEvent; marks: Marks }) {
  const { t } = useI18n();
  const found: ReactNode[] = [];
  if (marks.out) {
    found.push(
      <Mark key="out" tone="idle" icon={<Replace size={12} aria-hidden />}>
        {t.trace[marks.out]}
      </Mark>,
    );
  }
  if (event.enrichment?.exception) found.push(<ExceptionMark key="exception" code={event.enrichment.exception} />);
  if (!isActual(event)) {
    found.push(
      <Mark key="classifier" tone="idle" icon={<Clock4 size={12} aria-hidden />}>
        {t.trace.classifier[event.classifier]}
      </Mark>,
    );
  }
  // Instead of a time, the row says already that there is only a date.
  if (event.time_quality === 'zone_inferred' || event.time_quality === 'year_inferred') {
    found.push(
      <Mark key="quality" tone="idle" title={t.trace.qualityHint[event.time_quality]}>
        {t.trace.quality[event.time_quality]}
      </Mark>,
    );
  }
  if (marks.afterEnd) {
    found.push(
      <Mark key="end" tone="warn" icon={<Flag size={12} aria-hidden />} title={t.trace.afterEndHint}>
        {t.trace.afterEnd}
      </Mark>,
    );
  }
  if (marks.unmapped) {
    found.push(
      <Mark key="unmapped" tone="idle" title={t.trace.unmappedHint}>
        {t.trace.unmapped}
      </Mark>,
    );
  }
  if (event.personal) {
    found.push(
      <Mark key="personal" tone="idle" icon={<EyeOff size={12} aria-hidden />} title={t.journey.personalMark}>
        <span className={classes.srOnly}>{t.journey.personalMark}</span>
      </Mark>,
    );
  }
  return found.length > 0 ? <span className={classes.marks}>{found}</span> : null;
}

function Because({ event, marks, onSelect }: Pick<EventRowProps, 'event' | 'marks' | 'onSelect'>) {
  const { t } = useI18n();
  const { by, out } = marks;
  if (!by) return out ? t.trace[out] : null;
  if (by.event_id === event.event_id && by.revisionText && !by.corrects) {
    return t.trace.supersededByRevision(by.revisionText);
  }
  const sentence = isPureVoid(by) ? t.trace.voidedBy : t.trace.supersededBy;
  return <EventLinks sentence={sentence} events={[by]} onSelect={onSelect} />;
}

function Correcting({ event, marks, onSelect }: Pick<EventRowProps, 'event' | 'marks' | 'onSelect'>) {
  const { t } = useI18n();
  const { corrects } = event;
  if (!corrects) return null;
  const sentence = corrects.kind === 'void' ? t.trace.voids : t.trace.replaces;
  const reason = corrects.reason && (lookup(t.trace.reason, corrects.reason) ?? corrects.reason);
  return (
    <>
      {marks.corrected.length > 0 ? (
        <EventLinks sentence={sentence} events={marks.corrected} onSelect={onSelect} />
      ) : (
        sentence((corrects.event_ids ?? []).join(', '))
      )}
      {reason && ` (${reason})`}
    </>
  );
}
