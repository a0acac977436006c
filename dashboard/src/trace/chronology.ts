import type { Milestone, Trace, TraceEvent } from '../api/types';
import { micros, wallTime, wallTimeAt } from '../i18n/format';

export type Order = 'occurred' | 'received';

/** What deserves to be said of an event beside what it says itself. */
export interface Marks {
  /** Milliseconds by which an event that happened was received later than a minute after. */
  late?: number;
  /** Milliseconds by which it was received before the time it states: the sender's clock is wrong. */
  ahead?: number;
  outOfOrder?: boolean;
  afterEnd?: boolean;
  /** It no longer counts. */
  out?: 'voided' | 'superseded';
  /** What took it out, where that is among the events. */
  by?: TraceEvent;
  /** The events it takes out, where they are among the events. */
  corrected: TraceEvent[];
  unmapped?: boolean;
  /** How many copies of it were dropped. */
  copies?: number;
}

export type Row =
  | { row: 'day'; key: string; date: string }
  | { row: 'gap'; key: string; ms: number }
  | { row: 'event'; key: string; event: TraceEvent; marks: Marks };

/** An event received more than this after it happened is late. */
export const lateAfter = 60_000;
/** A clock this much ahead is worth a mark; below, clocks differ. */
const aheadAfter = 60_000;
/** A stretch without events longer than this is shown as such. */
const gapAfter = 2 * 3_600_000;

const ranks: Partial<Record<Milestone, number>> = {
  announced: 10,
  accepted: 20,
  processing: 30,
  loaded: 40,
  in_transit: 50,
  arrived: 60,
  transfer: 65,
  available: 70,
  out_for_delivery: 80,
  delivered: 90,
  returned: 100,
  cancelled: 100,
  lost: 100,
  destroyed: 100,
  expired: 100,
};

/** How far along a journey a milestone is; zero for unknown. */
export const rank = (milestone: Milestone | undefined): number => (milestone && ranks[milestone]) || 0;
export const isTerminal = (milestone: Milestone | undefined): boolean => rank(milestone) >= 90;

export const milestoneOf = (event: TraceEvent): Milestone | undefined => {
  const milestone = event.enrichment?.milestone;
  return milestone && milestone !== 'unknown' && milestone !== 'none' ? milestone : undefined;
};

export const isActual = (event: TraceEvent): boolean => !event.classifier || event.classifier === 'actual';

/** An event that only takes others out has no milestone of its own to show. */
export const isPureVoid = (event: TraceEvent): boolean => event.corrects?.kind === 'void';

const compareNumbers = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? 0 : a - b);
const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The order of a trace: (occurrence, rank of the milestone, reception, uid), or reception first. */
export function inOrder(events: readonly TraceEvent[], order: Order): TraceEvent[] {
  const keyed = events.map((event) => ({
    event,
    occurred: micros(event.timestamp),
    received: micros(event.received_at),
    rank: rank(milestoneOf(event)),
  }));
  keyed.sort((a, b) => {
    const occurred = compareNumbers(a.occurred, b.occurred);
    const received = compareNumbers(a.received, b.received);
    return (
      (order === 'occurred' ? occurred || a.rank - b.rank || received : received || occurred || a.rank - b.rank) ||
      compareTexts(a.event.uid, b.event.uid)
    );
  });
  return keyed.map((k) => k.event);
}

/** What is to be said of each event, by uid. `copies` says how many of each were dropped. */
export function annotate(
  events: readonly TraceEvent[],
  copies: Readonly<Record<string, number>> = {},
): Map<string, Marks> {
  const ended = endOf(events);
  return new Map(
    events.map((event) => {
      const marks = marksOf(event, events, ended);
      const dropped = copies[event.uid];
      return [event.uid, dropped ? { ...marks, copies: dropped } : marks];
    }),
  );
}

function marksOf(event: TraceEvent, events: readonly TraceEvent[], ended: number | undefined): Marks {
  const marks: Marks = { corrected: correctedBy(event, events) };
  const occurred = micros(event.timestamp);
  if (isActual(event) && event.time_quality !== 'date_only') {
    const delay = Math.round((micros(event.received_at) - occurred) / 1000);
    if (delay > lateAfter) marks.late = delay;
    if (delay < -aheadAfter) marks.ahead = -delay;
  }
  if (event.late) marks.outOfOrder = true;
  if (event.voided || event.superseded) {
    marks.out = event.voided ? 'voided' : 'superseded';
    const by = tookOut(event, events);
    if (by) marks.by = by;
    if (by?.corrects) marks.out = isPureVoid(by) ? 'voided' : 'superseded';
    return marks;
  }
  if (isPureVoid(event) || !isActual(event)) return marks;
  const milestone = milestoneOf(event);
  if (ended !== undefined && occurred > ended && milestone && !isTerminal(milestone)) marks.afterEnd = true;
  if (!milestone && !event.enrichment?.exception) marks.unmapped = true;
  return marks;
}

/** When the journey first ended, in microseconds; undefined while it has not. */
function endOf(events: readonly TraceEvent[]): number | undefined {
  const ends = events
    .filter((e) => isActual(e) && !e.voided && !e.superseded && !isPureVoid(e) && isTerminal(milestoneOf(e)))
    // Part of a consignment delivered is not the end of it.
    .filter((e) => !e.quantity?.total_pieces || (e.quantity.pieces ?? 0) >= e.quantity.total_pieces)
    .map((e) => micros(e.timestamp));
  return ends.length > 0 ? Math.min(...ends) : undefined;
}

const names = (correction: TraceEvent, event: TraceEvent): boolean =>
  correction.source === event.source &&
  correction.uid !== event.uid &&
  (correction.corrects?.event_ids?.includes(event.event_id) ?? false);

const correctedBy = (event: TraceEvent, events: readonly TraceEvent[]): TraceEvent[] =>
  event.corrects ? events.filter((other) => names(event, other) && (other.voided || other.superseded)) : [];

/** What took an event out: a correction that stands and names it, else the event that stands under the same id. */
function tookOut(event: TraceEvent, events: readonly TraceEvent[]): TraceEvent | undefined {
  const standing = events.filter((other) => !other.voided && !other.superseded);
  return (
    standing.find((other) => names(other, event)) ??
    standing.find(
      (other) => other.uid !== event.uid && other.source === event.source && other.event_id === event.event_id,
    )
  );
}

/** The rows of a timeline: its events, with a heading where the day changes and a line for long silences. */
export function rows(trace: Trace, order: Order): Row[] {
  const marks = annotate(trace.events, trace.copies);
  const found: Row[] = [];
  let day = '';
  let last: number | undefined;
  for (const event of inOrder(trace.events, order)) {
    const occurred = wallTime(event.timestamp);
    const shown = order === 'occurred' ? occurred : wallTimeAt(event.received_at, 0);
    const at = micros(order === 'occurred' ? event.timestamp : event.received_at);
    // Of a day without a time, or of what has not happened, there is no saying how long it was quiet.
    const timed =
      !Number.isNaN(at) && (order === 'received' || (event.time_quality !== 'date_only' && isActual(event)));
    if (timed && last !== undefined && at - last > gapAfter * 1000) {
      found.push({ row: 'gap', key: `gap-${event.uid}`, ms: Math.round((at - last) / 1000) });
    }
    if (shown && shown.date !== day) {
      day = shown.date;
      found.push({ row: 'day', key: `day-${event.uid}`, date: shown.date });
    }
    if (timed) last = at;
    found.push({ row: 'event', key: event.uid, event, marks: marks.get(event.uid) ?? { corrected: [] } });
  }
  return found;
}
