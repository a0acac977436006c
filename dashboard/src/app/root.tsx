import { createRootRoute, retainSearchParams } from '@tanstack/react-router';
import { Frame } from '../frame/Frame';
import { PageNotFound } from './PageNotFound';

/** What of every page stands in its address, and goes along from one page to the next. */
export interface RootSearch {
  /** Whose data are shown, when not one's own. */
  tenant?: string;
  /** Of when: see frame/range.ts. */
  range?: string;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** The route above all pages. The routes of a page stand in its folder. */
export const rootRoute = createRootRoute({
  component: Frame,
  notFoundComponent: PageNotFound,
  validateSearch: (search: Record<string, unknown>): RootSearch => {
    const [tenant, range] = [text(search.tenant), text(search.range)];
    return { ...(tenant && { tenant }), ...(range && { range }) };
  },
  search: { middlewares: [retainSearchParams(['tenant', 'range'])] },
});
