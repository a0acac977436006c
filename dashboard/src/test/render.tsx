import { createMemoryHistory } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { vi } from 'vitest';
import type { Me } from '../api/types';
import { App } from '../app/App';
import { createQueryClient } from '../app/queries';
import { createAppRouter } from '../app/router';
import { FakeEventSource } from './event-source';

export const me: Me = {
  subject: 'ana',
  name: 'Ana Quispe',
  client_id: 'rastro-dashboard',
  tenant_id: 'andina',
  tenants: [{ id: 'andina', name: 'Andina' }],
  features: ['traces', 'stream'],
  preferences: {},
  roles: ['traces:read'],
  expires_at: '2030-01-01T00:00:00Z',
};

export type Answer = { status?: number; body: unknown };

/** Plays the server: answers by path and query below api/v1/ or auth/, and 404 to everything else. */
export function serve(answers: Record<string, Answer | (() => Answer)>) {
  const asked: { path: string; init: RequestInit | Request | undefined }[] = [];
  vi.stubGlobal('fetch', (input: string | Request, init?: RequestInit) => {
    const url = typeof input === 'string' ? input : input.url;
    const path = url.replace(`${location.origin}/`, '').replace('api/v1/', '');
    asked.push({ path, init: typeof input === 'string' ? init : input });
    const known = answers[path] ?? (path === 'me' ? { body: me } : undefined);
    const answer = typeof known === 'function' ? known() : known;
    const status = answer ? (answer.status ?? 200) : 404;
    const body = answer?.body ?? { type: '/problems/not-found', title: 'Not Found', status: 404 };
    return Promise.resolve(
      new Response(typeof body === 'string' ? body : JSON.stringify(body), {
        status,
        headers: { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' },
      }),
    );
  });
  vi.stubGlobal('EventSource', FakeEventSource);
  FakeEventSource.opened = [];
  return asked;
}

/** The whole application at an address, with a keyboard and a pointer. */
export function open(path: string) {
  const onUnauthenticated = vi.fn();
  const queryClient = createQueryClient(onUnauthenticated);
  queryClient.setDefaultOptions({ queries: { ...queryClient.getDefaultOptions().queries, retry: false } });
  const router = createAppRouter(createMemoryHistory({ initialEntries: [path] }));
  const view = render(<App queryClient={queryClient} router={router} env="test" />);
  return { ...view, user: userEvent.setup(), router, queryClient, onUnauthenticated };
}
