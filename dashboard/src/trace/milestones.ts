import type { Kind, Milestone, Trace, TraceEvent } from '../api/types';
import { micros } from '../i18n/format';
import { isTerminal, milestoneOf, rank } from './chronology';

/** `beyond` is further than the journey as a whole has come: on an earlier leg, or with some of the pieces only. */
export type StepState = 'reached' | 'current' | 'beyond' | 'skipped' | 'pending';

export interface Step {
  milestone: Milestone;
  state: StepState;
  /** The event that reached it first, which knows the local time; absent when it is not among the events. */
  event?: TraceEvent;
  firstAt?: string;
  /** How many pieces have reached it, for a consignment that travels in parts. */
  pieces?: number;
}

const usual: Record<Kind, Milestone[]> = {
  baggage: ['accepted', 'processing', 'loaded', 'in_transit', 'arrived', 'available', 'delivered'],
  cargo: ['announced', 'accepted', 'processing', 'in_transit', 'arrived', 'available', 'delivered'],
  parcel: ['announced', 'accepted', 'in_transit', 'arrived', 'out_for_delivery', 'delivered'],
  passenger: ['announced', 'accepted', 'processing', 'loaded', 'in_transit', 'delivered'],
  equipment: ['announced', 'accepted', 'loaded', 'in_transit', 'arrived', 'available', 'delivered'],
};

const fallback: Milestone[] = ['announced', 'accepted', 'in_transit', 'arrived', 'delivered'];

/**
 * The steps of a journey: those usual in its trade, and any other that it has reached. An ending other than delivery takes
 * the place of what it made impossible.
 */
export function steps(trace: Trace): Step[] {
  const reached = new Map((trace.milestones ?? []).map((m) => [m.milestone, m]));
  const ending = isTerminal(trace.status) && trace.status !== 'delivered' ? trace.status : undefined;
  const wanted = new Set<Milestone>(trace.kind ? usual[trace.kind] : fallback);
  for (const milestone of reached.keys()) if (rank(milestone) > 0) wanted.add(milestone);
  if (rank(trace.status) > 0) wanted.add(trace.status);

  const furthest = Math.max(0, ...[...reached.keys()].filter((m) => m !== ending).map(rank));
  const list = [...wanted]
    .filter((milestone) => !ending || milestone === ending || rank(milestone) <= furthest)
    .sort((a, b) => rank(a) - rank(b));

  return list.map((milestone): Step => {
    const found = reached.get(milestone);
    const event = found && firstEvent(trace.events, milestone, found.first_at);
    const pieces = trace.pieces?.by_milestone?.[milestone];
    return {
      milestone,
      state: stateOf(milestone, trace.status, found !== undefined),
      ...(event && { event }),
      ...(found && { firstAt: found.first_at }),
      ...(pieces !== undefined && { pieces }),
    };
  });
}

function stateOf(milestone: Milestone, status: Milestone, reached: boolean): StepState {
  if (milestone === status) return 'current';
  const before = rank(milestone) < rank(status);
  if (reached) return before ? 'reached' : 'beyond';
  return before ? 'skipped' : 'pending';
}

const firstEvent = (events: readonly TraceEvent[], milestone: Milestone, at: string): TraceEvent | undefined =>
  events.find((e) => !e.voided && !e.superseded && milestoneOf(e) === milestone && micros(e.timestamp) === micros(at));

export interface PieceShare {
  /** How far these pieces have come; undefined for those nobody has mentioned. */
  milestone: Milestone | undefined;
  pieces: number;
}

/** Each piece once, at the furthest milestone it has reached, furthest first. */
export function pieceShares(pieces: NonNullable<Trace['pieces']>): PieceShare[] {
  const reached = Object.entries(pieces.by_milestone ?? {}) as [Milestone, number][];
  reached.sort(([a], [b]) => rank(b) - rank(a));
  const shares: PieceShare[] = [];
  let counted = 0;
  for (const [milestone, n] of reached) {
    const here = Math.min(n, pieces.total) - counted;
    if (here <= 0) continue;
    shares.push({ milestone, pieces: here });
    counted += here;
  }
  if (counted < pieces.total) shares.push({ milestone: undefined, pieces: pieces.total - counted });
  return shares;
}
