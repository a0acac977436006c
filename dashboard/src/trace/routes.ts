import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';
import type { Order } from './chronology';

/** What of a trace page stands in its address. */
export interface TraceSearch {
  /** The uid of the event whose data are shown. */
  event?: string;
  order?: Order;
}

export const tracesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces',
  component: lazyRouteComponent(() => import('./TracesPage'), 'TracesPage'),
});

export const traceRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces/$id',
  validateSearch: (search: Record<string, unknown>): TraceSearch => ({
    ...(typeof search.event === 'string' && { event: search.event }),
    ...(search.order === 'received' && { order: 'received' as const }),
  }),
  component: lazyRouteComponent(() => import('./TracePage'), 'TracePage'),
});
