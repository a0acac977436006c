import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';
import { micros } from '../i18n/format';
import type { Order } from './chronology';

/** What of a trace page stands in its address. */
export interface TraceSearch {
  /** The uid of the event whose data are shown. */
  event?: string;
  order?: Order;
  /** The trace as it was: what had happened by then, or what was known then. RFC 3339. */
  asOf?: string;
  knownAt?: string;
}

const isTime = (value: unknown): value is string => typeof value === 'string' && !Number.isNaN(micros(value));

export const traceRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces/$id',
  validateSearch: (search: Record<string, unknown>): TraceSearch => ({
    ...(typeof search.event === 'string' && { event: search.event }),
    ...(search.order === 'received' && { order: 'received' as const }),
    ...(isTime(search.asOf) && { asOf: search.asOf }),
    ...(isTime(search.knownAt) && { knownAt: search.knownAt }),
  }),
  component: lazyRouteComponent(() => import('./TracePage'), 'TracePage'),
});
