import { createRoute, lazyRouteComponent } from '@tanstack/react-router';
import { rootRoute } from '../app/root';

export const configTabs = ['files', 'audit', 'preferences'] as const;
export type ConfigTab = (typeof configTabs)[number];

/** What of the configuration's page stands in its address. */
export interface ConfigSearch {
  tab?: ConfigTab;
  /** The file on show. */
  file?: string;
  /** The audit of what belongs to no tenant. */
  unowned?: true;
}

export const configRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/config',
  validateSearch: (search: Record<string, unknown>): ConfigSearch => {
    const tab = configTabs.find((one) => one === search.tab);
    return {
      ...(tab && { tab }),
      ...(typeof search.file === 'string' && { file: search.file }),
      ...(search.unowned === true && { unowned: true as const }),
    };
  },
  component: lazyRouteComponent(() => import('./ConfigPage'), 'ConfigPage'),
});
