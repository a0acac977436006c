import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';
import { readSearch } from './filters';

export const tracesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/traces',
  validateSearch: readSearch,
  component: lazyRouteComponent(() => import('./TracesPage'), 'TracesPage'),
});
