import { Drawer, SegmentedControl } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { getRouteApi } from '@tanstack/react-router';
import { Inbox } from 'lucide-react';
import { useEffect, useMemo, useRef } from 'react';
import type { TraceEvent } from '../api/types';
import { isTyping } from '../frame/keys';
import { useI18n } from '../i18n/i18n';
import type { Found } from '../search/find';
import { Card } from '../ui/Card';
import { Empty } from '../ui/Empty';
import { useNow } from '../ui/useNow';
import { isActual, type Order, rows } from './chronology';
import { EventPanel } from './EventPanel';
import { Timeline } from './Timeline';
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
  const { trace } = found;
  const { event: selected, order = 'occurred' } = route.useSearch();
  const navigate = route.useNavigate();
  const beside = useMediaQuery(wide, true, { getInitialValueInEffect: false });
  const list = useMemo(() => rows(trace, order), [trace, order]);
  const now = useNow(10_000);

  const chosen = trace.events.find((e) => e.uid === selected);
  const shown = chosen ?? (beside ? latest(trace.events) : undefined);
  const open = (uid: string | undefined) =>
    void navigate({ search: (s) => ({ ...s, event: uid }), replace: true, resetScroll: false });
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
      <TraceHeader found={found} id={id} outdated={outdated} />
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
          {list.length === 0 ? (
            <Empty icon={<Inbox size={28} aria-hidden />} title={t.trace.empty}>
              <p>{t.trace.emptyNext}</p>
            </Empty>
          ) : (
            <Timeline rows={list} order={order} selected={shown?.uid} onSelect={open} />
          )}
        </Card>
        {beside && (
          <aside className={classes.side} aria-label={t.trace.raw.title}>
            {shown ? <EventPanel event={shown} /> : <p className="secondary">{t.trace.raw.choose}</p>}
          </aside>
        )}
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
