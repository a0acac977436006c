import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';

export const stageTabs = ['figures', 'sample', 'config'] as const;
export type StageTab = (typeof stageTabs)[number];

/** What of a stage's page stands in its address. */
export interface StageSearch {
  tab?: StageTab;
}

export const stagesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/stages',
  component: lazyRouteComponent(() => import('./StagesPage'), 'StagesPage'),
});

export const stageRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/stages/$id',
  validateSearch: (search: Record<string, unknown>): StageSearch => {
    const tab = stageTabs.find((name) => name === search.tab);
    return tab && tab !== 'figures' ? { tab } : {};
  },
  component: lazyRouteComponent(() => import('./StagePage'), 'StagePage'),
});
