import { Button, Drawer, SegmentedControl } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { getRouteApi } from '@tanstack/react-router';
import { Inbox } from 'lucide-react';
import { useEffect, useMemo, useRef } from 'react';
import { isNotFound } from '../api/client';
import type { TraceEvent } from '../api/types';
import { pastTraceQuery } from '../app/queries';
import { useApi } from '../app/scope';
import { isTyping } from '../frame/keys';
import { useI18n } from '../i18n/i18n';
import type { Found } from '../search/find';
import { Card } from '../ui/Card';
import { Empty } from '../ui/Empty';
import { useNow } from '../ui/useNow';
import { isActual, type Order, rows } from './chronology';
import { EventPanel } from './EventPanel';
import type { Past } from './moments';
import { Places } from './Places';
import { Timeline } from './Timeline';
import { TimeMachine } from './TimeMachine';
import { TraceHeader } from './TraceHeader';
import classes from './trace.module.css';

const route = getRouteApi('/traces/$id');
/** Below this the event's data open over the page rather than beside it; trace.module.css breaks at the same width. */
const wide = '(min-width: 1100px)';

interface TraceViewProps {
  found: Found;
  /** What was asked for. */
  id: string;
  /** The last attempt to bring it up to date failed. */
  outdated: boolean;
}

export function TraceView({ found, id, outdated }: TraceViewProps) {
  const { t, f } = useI18n();
  const api = useApi();
  const { event: selected, order = 'occurred', asOf, knownAt } = route.useSearch();
  const past = useMemo<Past | undefined>(() => pastOf(asOf, knownAt), [asOf, knownAt]);
  const before = useQuery({
    ...pastTraceQuery(api, found.trace.correlation_id, past),
    placeholderData: keepPreviousData,
  });
  // Before anything of it was known there was no such trace.
  const nothing = past !== undefined && isNotFound(before.error);
  const trace = past && before.data && !nothing ? before.data : found.trace;
  const navigate = route.useNavigate();
  const beside = useMediaQuery(wide, true, { getInitialValueInEffect: false });
  const list = useMemo(() => (nothing ? [] : rows(trace, order)), [trace, order, nothing]);
  const hidden = nothing ? found.trace.events.length : found.trace.events.length - trace.events.length;
  const now = useNow(10_000);

  const byUid = found.by === 'event' ? found.trace.events.find((e) => e.uid === id)?.uid : undefined;
  const chosen = trace.events.find((e) => e.uid === (selected ?? byUid));
  const shown = chosen ?? (beside ? latest(trace.events) : undefined);
  const open = (uid: string | undefined) =>
    void navigate({ search: (s) => ({ ...s, event: uid }), replace: true, resetScroll: false });
  const travel = (next: Past | undefined) =>
    void navigate({
      search: ({ asOf: _, knownAt: __, ...rest }) => ({ ...rest, ...(next && { [next.clock]: next.at }) }),
      replace: true,
      resetScroll: false,
    });
  const sort = (next: string) =>
    void navigate({
      search: (s) => ({ ...s, order: next === 'received' ? ('received' as Order) : undefined }),
      replace: true,
      resetScroll: false,
    });
  useStepping(
    list.flatMap((row) => (row.row === 'event' ? [row.event.uid] : [])),
    shown?.uid,
    open,
  );

  return (
    <div className={classes.page}>
      <TraceHeader found={{ ...found, trace }} id={id} outdated={outdated} past={past} />
      <TimeMachine events={found.trace.events} past={past} onChange={travel} />
      <div className={classes.columns}>
        <Card
          titleId="timeline"
          title={t.trace.timeline}
          note={trace.updated_at && t.trace.updated(f.ago(Math.max(0, now - Date.parse(trace.updated_at))))}
          actions={
            <SegmentedControl
              size="xs"
              aria-label={t.trace.order}
              value={order}
              onChange={sort}
              data={[
                { value: 'occurred', label: t.trace.orderOccurred },
                { value: 'received', label: t.trace.orderReceived },
              ]}
            />
          }
          className={classes.timelineCard}
        >
          {list.length > 0 ? (
            <Timeline rows={list} order={order} selected={shown?.uid} onSelect={open} />
          ) : past ? (
            <Empty icon={<Inbox size={28} aria-hidden />} title={t.journey.past.nothing}>
              <Button size="xs" variant="default" onClick={() => travel(undefined)}>
                {t.journey.past.back}
              </Button>
            </Empty>
          ) : (
            <Empty icon={<Inbox size={28} aria-hidden />} title={t.trace.empty}>
              <p>{t.trace.emptyNext}</p>
            </Empty>
          )}
          {past && hidden > 0 && <p className={classes.hidden}>{t.journey.hidden(hidden, f.count(hidden))}</p>}
        </Card>
        <div className={classes.sideCards}>
          <Places events={nothing ? [] : trace.events} selected={shown?.uid} onSelect={open} />
          {beside && (
            <aside className={classes.side} aria-label={t.trace.raw.title}>
              {shown ? <EventPanel event={shown} /> : <p className="secondary">{t.trace.raw.choose}</p>}
            </aside>
          )}
        </div>
      </div>
      {!beside && (
        <Drawer
          opened={chosen !== undefined}
          onClose={() => open(undefined)}
          position="bottom"
          size="85%"
          title={t.trace.raw.title}
          closeButtonProps={{ 'aria-label': t.trace.raw.close }}
        >
          {chosen && <EventPanel event={chosen} plain />}
        </Drawer>
      )}
    </div>
  );
}

function pastOf(asOf: string | undefined, knownAt: string | undefined): Past | undefined {
  if (asOf) return { clock: 'asOf', at: asOf };
  return knownAt ? { clock: 'knownAt', at: knownAt } : undefined;
}

/** The last thing that happened: what a wide page shows the data of before anything is chosen. */
function latest(events: readonly TraceEvent[]): TraceEvent | undefined {
  const happened = events.filter((e) => isActual(e) && !e.voided && !e.superseded);
  return happened.at(-1) ?? events.at(-1);
}

/** Goes through the events with j and k. */
function useStepping(uids: readonly string[], selected: string | undefined, open: (uid: string) => void): void {
  const state = useRef({ uids, selected, open });
  state.current = { uids, selected, open };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const step = event.key === 'j' ? 1 : event.key === 'k' ? -1 : 0;
      if (step === 0 || isTyping(event)) return;
      const { uids: all, selected: at, open: go } = state.current;
      const next = all[Math.min(all.length - 1, Math.max(0, all.indexOf(at ?? '') + step))];
      if (!next) return;
      go(next);
      document.getElementById(`event-${next}`)?.scrollIntoView({ block: 'nearest' });
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}
