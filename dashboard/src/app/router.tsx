import { createRouter, type RouterHistory } from '@tanstack/react-router';
import { alertsRoute } from '../alerts/routes';
import { carriersRoute } from '../carriers/routes';
import { configRoute } from '../config/routes';
import { overviewRoute } from '../overview/routes';
import { lettersRoute, queuesRoute } from '../queues/routes';
import { stageRoute, stagesRoute } from '../stages/routes';
import { traceRoute } from '../trace/routes';
import { tracesRoute } from '../traces/routes';
import { PageError } from './PageError';
import { rootRoute } from './root';

const routeTree = rootRoute.addChildren([
  overviewRoute,
  stagesRoute,
  stageRoute,
  queuesRoute,
  lettersRoute,
  tracesRoute,
  traceRoute,
  carriersRoute,
  alertsRoute,
  configRoute,
]);

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
