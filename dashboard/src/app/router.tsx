import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
} from '@tanstack/react-router';
import { Frame } from '../frame/Frame';
import { micros } from '../i18n/format';
import type { Order } from '../trace/chronology';
import { PageError } from './PageError';
import { PageNotFound } from './PageNotFound';

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

const rootRoute = createRootRoute({ component: Frame, notFoundComponent: PageNotFound });

const overviewRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  component: lazyRouteComponent(() => import('../overview/OverviewPage'), 'OverviewPage'),
});

const tracesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces',
  component: lazyRouteComponent(() => import('../trace/TracesPage'), 'TracesPage'),
});

const traceRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces/$id',
  validateSearch: (search: Record<string, unknown>): TraceSearch => ({
    ...(typeof search.event === 'string' && { event: search.event }),
    ...(search.order === 'received' && { order: 'received' as const }),
    ...(isTime(search.asOf) && { asOf: search.asOf }),
    ...(isTime(search.knownAt) && { knownAt: search.knownAt }),
  }),
  component: lazyRouteComponent(() => import('../trace/TracePage'), 'TracePage'),
});

const routeTree = rootRoute.addChildren([overviewRoute, tracesRoute, traceRoute]);

/** The router of the pages, under the path prefix that the page was served from. */
export function createAppRouter(history?: RouterHistory) {
  return createRouter({
    ...(history && { history }),
    routeTree,
    basepath: new URL(document.baseURI).pathname,
    defaultPreload: 'intent',
    defaultErrorComponent: PageError,
    scrollRestoration: true,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
