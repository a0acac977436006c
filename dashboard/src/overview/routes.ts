import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';

/** What of the overview stands in its address. */
export interface OverviewSearch {
  /** Without what stands around it, for a screen on the wall. */
  kiosk?: boolean;
}

export const overviewRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/',
  validateSearch: (search: Record<string, unknown>): OverviewSearch => (search.kiosk ? { kiosk: true } : {}),
  component: lazyRouteComponent(() => import('./OverviewPage'), 'OverviewPage'),
});
