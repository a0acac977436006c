import { Tooltip } from '@mantine/core';
import { Link, useNavigate } from '@tanstack/react-router';
import { TriangleAlert } from 'lucide-react';
import { type KeyboardEvent, useRef } from 'react';
import type { Kind, Milestone } from '../api/types';
import { lookup, useI18n } from '../i18n/i18n';
import { KindIcon } from '../trace/icons';
import { ExceptionMark, StatusMark } from '../trace/StatusMark';
import { Mark } from '../ui/Mark';
import { useNow } from '../ui/useNow';
import classes from './list.module.css';
import type { TraceItem } from './useTraceList';

interface TraceTableProps {
  items: readonly TraceItem[];
  changed: ReadonlySet<string>;
}

/** Traces, one a row. j and k go from one to the next, Enter opens it. */
export function TraceTable({ items, changed }: TraceTableProps) {
  const { t } = useI18n();
  const now = useNow(10_000);
  const body = useRef<HTMLTableSectionElement>(null);
  const step = (event: KeyboardEvent) => {
    const by =
      event.key === 'j' || event.key === 'ArrowDown' ? 1 : event.key === 'k' || event.key === 'ArrowUp' ? -1 : 0;
    if (by === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const links = [...(body.current?.querySelectorAll<HTMLAnchorElement>('a[data-row]') ?? [])];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at + by))];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: 'nearest' });
  };
  const { column } = t.finder;
  return (
    <table className={classes.table} aria-label={t.finder.list}>
      <thead>
        <tr>
          <th scope="col">{column.trace}</th>
          <th scope="col">{column.status}</th>
          <th scope="col">{column.last}</th>
          <th scope="col">{column.place}</th>
          <th scope="col">{column.first}</th>
          <th scope="col" className={classes.number}>
            {column.events}
          </th>
          <th scope="col">{column.notes}</th>
        </tr>
      </thead>
      <tbody ref={body} onKeyDown={step}>
        {items.map((item) => (
          <Row key={item.correlation_id} item={item} now={now} changed={changed.has(item.correlation_id)} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ item, now, changed }: { item: TraceItem; now: number; changed: boolean }) {
  const { t, f } = useI18n();
  const navigate = useNavigate();
  const kind = item.kind as Kind | undefined;
  const things = (item.aggregates ?? []).length;
  const id = item.correlation_id;
  const open = () => void navigate({ to: '/traces/$id', params: { id } });
  return (
    <tr
      data-changed={changed || undefined}
      onClick={(click) => {
        // Text that was marked to be copied, and links, are not to open the trace.
        if (!(click.target as Element).closest('a, button') && !window.getSelection()?.toString()) open();
      }}
    >
      <th scope="row" className={classes.trace}>
        <span className={classes.kind} title={t.trace.kind[kind ?? 'none'] ?? kind}>
          <KindIcon kind={kind} size={18} />
        </span>
        <span className={classes.ids}>
          <Link to="/traces/$id" params={{ id }} className={`${classes.id} mono`} data-row>
            {id}
          </Link>
          {(things > 1 || (item.aggregate_id && item.aggregate_id !== id)) && (
            <span className={classes.sub}>
              {things > 1 ? (
                t.finder.things(things, f.count(things))
              ) : (
                <span className="mono">{item.aggregate_id}</span>
              )}
            </span>
          )}
        </span>
      </th>
      <td className={classes.status}>
        <span className={classes.marks}>
          {item.exception && <ExceptionMark code={item.exception} />}
          <StatusMark status={item.status as Milestone} kind={kind} />
        </span>
      </td>
      <td className={classes.last}>
        <Time at={item.last_event_at} now={now} />
        {changed && <span className={classes.dot} title={t.finder.changed} role="img" aria-label={t.finder.changed} />}
      </td>
      <td className={classes.place}>{item.last_place ?? <span className="secondary">{t.time.unknown}</span>}</td>
      <td className={classes.first}>
        <Time at={item.first_event_at} now={now} />
      </td>
      <td className={`${classes.number} num`} data-label={t.finder.column.events}>
        {f.count(item.event_count)}
      </td>
      <td className={classes.notes}>
        <span className={classes.marks}>
          {item.voided_count ? (
            <span className="secondary">{t.trace.voidedCount(item.voided_count, f.count(item.voided_count))}</span>
          ) : null}
          {item.unknown_count ? (
            <span className="secondary">{t.trace.unknownCount(item.unknown_count, f.count(item.unknown_count))}</span>
          ) : null}
          {item.pieces_total && item.pieces_total > 1 ? (
            <span className="secondary num">
              {t.finder.pieces(f.count(item.pieces_delivered ?? 0), f.count(item.pieces_total))}
            </span>
          ) : null}
          {(item.anomalies ?? []).map((code) => (
            <Mark key={code} tone="warn" icon={<TriangleAlert size={12} aria-hidden />}>
              {lookup(t.trace.anomaly, code) ?? code}
            </Mark>
          ))}
        </span>
      </td>
    </tr>
  );
}

function Time({ at, now }: { at: string | undefined; now: number }) {
  const { t, f } = useI18n();
  if (!at) return <span className="secondary">{t.time.unknown}</span>;
  const age = now - Date.parse(at);
  return (
    <Tooltip label={f.here(at)} withArrow openDelay={300}>
      <time dateTime={at} className="num">
        {age > -5_000 && age < 7 * 86_400_000 ? f.ago(Math.max(0, age)) : f.here(at)}
      </time>
    </Tooltip>
  );
}
