import { Fragment } from 'react';
import type { TraceEvent } from '../api/types';
import { useI18n } from '../i18n/i18n';
import type { Order, Row } from './chronology';
import { EventRow } from './EventRow';
import classes from './timeline.module.css';

interface TimelineProps {
  rows: readonly Row[];
  order: Order;
  selected: string | undefined;
  onSelect: (uid: string) => void;
}

/** The events of a journey, one below the other. */
export function Timeline({ rows, order, selected, onSelect }: TimelineProps) {
  const { t, f } = useI18n();
  return (
    <ol className={classes.timeline} aria-labelledby="timeline" data-testid="timeline">
      {rows.map((row) => {
        if (row.row === 'day') {
          return (
            <li key={row.key} className={classes.day}>
              <h3>
                <time dateTime={row.date}>{f.day(row.date)}</time>
              </h3>
            </li>
          );
        }
        if (row.row === 'gap') {
          return (
            <li key={row.key} className={classes.gap}>
              <span>{t.trace.gap(f.duration(row.ms))}</span>
            </li>
          );
        }
        return (
          <EventRow
            key={row.key}
            event={row.event}
            marks={row.marks}
            order={order}
            selected={row.event.uid === selected}
            onSelect={onSelect}
          />
        );
      })}
    </ol>
  );
}

/** Links to other events of the same timeline, between the words of a sentence that has a place for them. */
export function EventLinks({
  sentence,
  events,
  onSelect,
}: {
  sentence: (ids: string) => string;
  events: readonly TraceEvent[];
  onSelect: (uid: string) => void;
}) {
  const hole = '\u0000';
  const [before = '', after = ''] = sentence(hole).split(hole);
  return (
    <>
      {before}
      {events.map((event, i) => (
        <Fragment key={event.uid}>
          {i > 0 && ', '}
          <a
            className={`${classes.link} mono`}
            href={`#event-${event.uid}`}
            onClick={(click) => {
              click.preventDefault();
              onSelect(event.uid);
              document.getElementById(`event-${event.uid}`)?.scrollIntoView({ block: 'nearest' });
            }}
          >
            {event.event_type} {event.event_id}
          </a>
        </Fragment>
      ))}
      {after}
    </>
  );
}
