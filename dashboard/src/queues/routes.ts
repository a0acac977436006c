import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';
import { type LettersSearch, readLettersSearch } from './filter';

export const queuesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/queues',
  component: lazyRouteComponent(() => import('./QueuesPage'), 'QueuesPage'),
});

export const lettersRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/dead-letters',
  validateSearch: (search: Record<string, unknown>): LettersSearch => readLettersSearch(search),
  component: lazyRouteComponent(() => import('./LettersPage'), 'LettersPage'),
});
