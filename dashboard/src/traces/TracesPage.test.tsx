import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEventSource } from '../test/event-source';
import { open, serve } from '../test/render';

const item = (id: string, change: object = {}) => ({
  correlation_id: id,
  aggregate_id: id,
  aggregates: [id],
  kind: 'baggage',
  status: 'in_transit',
  anomalies: [],
  first_event_at: '2025-11-20T11:00:00Z',
  last_event_at: '2025-11-20T12:00:00Z',
  last_place: 'LIM',
  event_count: 4,
  voided_count: 0,
  unknown_count: 0,
  updated_at: '2025-11-20T12:00:01Z',
  ...change,
});
const base = 'traces?sort=last_event_at&order=desc';
const first = { items: [item('0045000001'), item('0045000002')], next_cursor: 'c1', count: { value: 3, exact: true } };
const trace = { correlation_id: '0045000001', status: 'in_transit', event_count: 0, events: [] };

const ids = () => screen.getAllByRole('rowheader').map((cell) => within(cell).getByRole('link').textContent);

beforeEach(() => {
  document.documentElement.lang = 'es';
});

describe('the list of traces', () => {
  it('is read page by page', async () => {
    serve({
      [`${base}&limit=50&count=true`]: { body: first },
      [`${base}&limit=50&cursor=c1`]: {
        body: { items: [item('0045000003', { exception: 'missing', pieces_total: 4 })] },
      },
    });
    const { user } = open('/traces');
    expect(await screen.findByText('3 trazas')).toBeInTheDocument();
    expect(ids()).toEqual(['0045000001', '0045000002']);
    await user.click(screen.getByRole('button', { name: 'Cargar más' }));
    await waitFor(() => expect(ids()).toHaveLength(3));
    const last = screen.getAllByRole('row').at(-1);
    expect(last).toHaveTextContent('Falta');
    expect(last).toHaveTextContent('0 de 4 piezas');
    expect(screen.getByText('Eso es todo: 3 trazas.')).toBeInTheDocument();
  });

  it('is narrowed by what stands in the address, and puts there what narrows it', async () => {
    serve({
      [`${base}&status=lost&location=LIM&location=CUZ&limit=50&count=true`]: { body: { items: [item('0045000009')] } },
      [`${base}&status=lost&status=delivered&location=LIM&location=CUZ&limit=50&count=true`]: { body: first },
      [`${base}&limit=50&count=true`]: { body: first },
    });
    const { user, router } = open('/traces?status=lost&location=LIM,CUZ');
    expect(await screen.findByRole('link', { name: '0045000009' })).toBeInTheDocument();
    await user.click(screen.getByRole('button', { name: /^Estado/ }));
    await user.click(await screen.findByRole('checkbox', { name: 'Entregado' }));
    await waitFor(() =>
      expect(router.state.location.search).toMatchObject({ status: 'lost,delivered', location: 'LIM,CUZ' }),
    );
    await waitFor(() => expect(ids()).toHaveLength(2));
    await user.click(screen.getByRole('button', { name: 'Quitar Lugar: LIM +1' }));
    await waitFor(() => expect(router.state.location.search).not.toHaveProperty('location'));
    await user.click(screen.getByRole('button', { name: 'Quitar filtros' }));
    await waitFor(() => expect(router.state.location.search).toEqual({}));
  });

  it('adds a value that is typed', async () => {
    serve({
      [`${base}&limit=50&count=true`]: { body: first },
      [`${base}&flight=LA2047&limit=50&count=true`]: { body: first },
    });
    const { user, router } = open('/traces');
    await screen.findByText('3 trazas');
    await user.click(screen.getByRole('button', { name: /^Vuelo/ }));
    await user.type(await screen.findByLabelText('Vuelo', { selector: 'input' }), 'LA2047{Enter}');
    await waitFor(() => expect(router.state.location.search).toMatchObject({ flight: 'LA2047' }));
  });

  it('says when nothing matches, and what to do', async () => {
    serve({ [`${base}&kind=cargo&limit=50&count=true`]: { body: { items: [], count: { value: 0, exact: true } } } });
    open('/traces?kind=cargo');
    expect(await screen.findByText('Ninguna traza cumple estos filtros')).toBeInTheDocument();
  });

  it('says what the server has against a search', async () => {
    serve({
      [`${base}&status=nonsense&limit=50&count=true`]: {
        status: 422,
        body: { type: '/problems/validation', title: 'Unprocessable', status: 422, detail: '"nonsense" is no status.' },
      },
    });
    open('/traces?status=nonsense');
    expect(await screen.findByText('"nonsense" is no status.')).toBeInTheDocument();
  });

  it('changes rows where they stand, and counts what else has come', async () => {
    let news: object[] = [];
    const asked = serve({ [`${base}&limit=50&count=true`]: { body: first } });
    const answered = fetch;
    globalThis.fetch = ((input: Request) => {
      const url = typeof input === 'string' ? input : input.url;
      if (!url.includes('updatedFrom=')) return answered(input);
      asked.push({ path: url, init: undefined });
      return Promise.resolve(
        new Response(JSON.stringify({ items: news }), { headers: { 'content-type': 'application/json' } }),
      );
    }) as typeof fetch;
    const { user } = open('/traces');
    await screen.findByText('3 trazas');
    const stream = () => FakeEventSource.last;
    await waitFor(() => expect(stream().url).toContain('trace'));
    const later = { status: 'delivered', event_count: 9, updated_at: '2025-11-20T12:30:00Z' };
    news = [item('0045000002', later), item('0045777777', later)];
    act(() => stream().send('trace', item('0045000002', later)));
    const row = () => screen.getByRole('link', { name: '0045000002' }).closest('tr');
    await waitFor(() => expect(row()).toHaveTextContent('Entregado'));
    expect(ids()).toEqual(['0045000001', '0045000002']);
    const pill = await screen.findByTestId('news');
    expect(pill).toHaveTextContent('1 nueva o con cambios');
    await user.click(pill);
    await waitFor(() => expect(screen.queryByTestId('news')).toBeNull());
  });
});

describe('searching by identifier', () => {
  it('goes to the only journey that has it, and to the event that it is', async () => {
    serve({
      [`${base}&limit=50&count=true`]: { body: first },
      'search?q=u-1': {
        body: {
          guesses: [],
          exists: true,
          found: [{ by: 'event', value: 'u-1', trace: { correlation_id: '0045000001' } }],
        },
      },
      'trace/0045000001': { body: trace },
    });
    const { user, router } = open('/traces');
    await screen.findByText('3 trazas');
    await user.type(screen.getByLabelText('Buscar por identificador'), 'u-1{Enter}');
    await waitFor(() => expect(router.state.location.pathname).toBe('/traces/0045000001'));
    expect(router.state.location.search).toMatchObject({ event: 'u-1' });
  });

  it('says what it may be when there is none, and offers the flight', async () => {
    serve({
      [`${base}&limit=50&count=true`]: { body: first },
      'search?q=LA2047': {
        body: {
          guesses: [
            { kind: 'flight', value: 'LA2047', why: '' },
            { kind: 'free', value: 'LA2047', why: '' },
          ],
          exists: false,
          found: [],
        },
      },
    });
    const { user, router } = open('/traces');
    await screen.findByText('3 trazas');
    await user.type(screen.getByLabelText('Buscar por identificador'), 'LA2047{Enter}');
    expect(
      await screen.findByText(/No hay ningún viaje, bulto ni evento que sea exactamente «LA2047»/),
    ).toBeInTheDocument();
    expect(screen.getByText('Parece: vuelo.')).toBeInTheDocument();
    await user.click(screen.getByRole('button', { name: 'Ver los viajes del vuelo LA2047' }));
    await waitFor(() => expect(router.state.location.search).toEqual({ flight: 'LA2047' }));
  });
});

describe('saved views', () => {
  it('are kept in this browser, and forgotten', async () => {
    serve({
      [`${base}&kind=cargo&limit=50&count=true`]: { body: first },
      [`${base}&limit=50&count=true`]: { body: first },
    });
    const { user, router } = open('/traces?kind=cargo');
    await user.click(await screen.findByRole('button', { name: 'Guardar esta vista' }));
    await user.type(await screen.findByLabelText('Nombre de la vista'), 'Carga{Enter}');
    const views = await screen.findByRole('list', { name: 'Vistas guardadas' });
    await user.click(screen.getByRole('button', { name: 'Quitar filtros' }));
    await user.click(within(views).getByRole('link', { name: 'Carga' }));
    await waitFor(() => expect(router.state.location.search).toEqual({ kind: 'cargo' }));
    await user.click(within(views).getByRole('button', { name: 'Olvidar la vista Carga' }));
    expect(screen.queryByRole('list', { name: 'Vistas guardadas' })).toBeNull();
  });
});
