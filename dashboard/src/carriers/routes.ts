import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';
import { type Column, columns } from './health';

/** What of the carriers' page stands in its address. */
export interface CarriersSearch {
  tab?: 'inbox' | 'tenant';
  /** The source whose details are shown. */
  source?: string;
  by?: Column;
  up?: true;
}

export const carriersRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/carriers',
  validateSearch: (search: Record<string, unknown>): CarriersSearch => {
    const by = columns.find((column) => column === search.by);
    return {
      ...((search.tab === 'inbox' || search.tab === 'tenant') && { tab: search.tab as 'inbox' | 'tenant' }),
      ...((typeof search.source === 'string' || typeof search.source === 'number') && {
        source: String(search.source),
      }),
      ...(by && by !== 'health' && { by }),
      ...((search.up === true || search.up === 'true') && { up: true as const }),
    };
  },
  component: lazyRouteComponent(() => import('./CarriersPage'), 'CarriersPage'),
});
