import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeEventSource, setVisibility, tick } from '../test/event-source';
import { me, open, serve } from '../test/render';

const payload = '{"scanId": 9007199254740993, "weight": 22.60}';
const wrong = {
  source: 'bhs',
  event_id: 'LOD-1',
  event_type: 'LOD',
  classifier: 'actual',
  received_at: '2025-11-20T14:31:02Z',
};
const bag = `{"tenant_id":"andina","correlation_id":"0045123456","aggregate_id":"0045123456","kind":"baggage",
  "aggregates":["0045123456"],"status":"in_transit","exception":"missing","milestones":[
  {"milestone":"loaded","first_at":"2025-11-20T14:36:30Z","last_at":"2025-11-20T14:36:30Z","count":1},
  {"milestone":"in_transit","first_at":"2025-11-20T15:05:00Z","last_at":"2025-11-20T15:05:00Z","count":1}],
  "event_count":3,"voided_count":1,"unknown_count":0,"last_event_at":"2025-11-20T15:05:00Z",
  "last_location":{"iata":"LIM","city":"Lima","country":"PE"},"legs":null,"updated_at":"2025-11-20T16:30:00Z","events":[
  ${JSON.stringify({ ...wrong, uid: 'u1', timestamp: '2025-11-20T09:31:00-05:00', voided: true, enrichment: { milestone: 'loaded' } })},
  ${JSON.stringify({ ...wrong, uid: 'u2', event_id: 'LOD-2', timestamp: '2025-11-20T09:36:30-05:00', received_at: '2025-11-20T14:36:31Z', corrects: { kind: 'replace', event_ids: ['LOD-1'], reason: 'incorrect_data' }, enrichment: { milestone: 'loaded' } }).replace(/}$/, `,"payload":${payload}}`)},
  ${JSON.stringify({ ...wrong, uid: 'u3', event_id: 'DEP-1', event_type: 'DEP', timestamp: '2025-11-20T10:05:00-05:00', received_at: '2025-11-20T16:30:00Z', late: true, location: { iata: 'LIM' }, enrichment: { milestone: 'in_transit', place: { iata: 'LIM', name: 'Jorge Chávez', city: 'Lima', country: 'PE', latitude: 0, longitude: 0 } } })}]}`;

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
});

describe('the frame', () => {
  it('shows product, tenant and only the pages there are', async () => {
    serve({});
    open('/');
    expect(await screen.findByText('Andina')).toBeInTheDocument();
    expect(screen.getByText('Rastro')).toBeInTheDocument();
    const links = within(screen.getByRole('navigation')).getAllByRole('link');
    expect(links.map((l) => l.textContent)).toEqual(['Resumen', 'Trazas', 'Configuración']);
  });

  it('sends whoever is not signed in to sign in', async () => {
    serve({ me: { status: 401, body: { type: '/problems/unauthenticated', title: 'Unauthorized', status: 401 } } });
    const { onUnauthenticated } = open('/');
    await waitFor(() => expect(onUnauthenticated).toHaveBeenCalled());
    expect(screen.queryByRole('navigation')).toBeNull();
    expect(FakeEventSource.opened).toHaveLength(0);
  });

  it('says what is wrong when the server does not answer, and tries again', async () => {
    let up = false;
    serve({ me: () => (up ? { body: me } : { status: 503, body: { title: 'x', status: 503, instance: 'req-1' } }) });
    const { user } = open('/');
    expect(await screen.findByRole('alert')).toHaveTextContent('req-1');
    up = true;
    await user.click(screen.getByRole('button', { name: 'Reintentar' }));
    expect(await screen.findByRole('navigation')).toBeInTheDocument();
  });

  it('opens no stream for an account that may not read', async () => {
    serve({ me: { body: { ...me, roles: ['events:write'] } } });
    open('/');
    expect(await screen.findByText(/traces:read/)).toBeInTheDocument();
    expect(FakeEventSource.opened).toHaveLength(0);
  });

  it('asks who we are when the stream is refused', async () => {
    const asked = serve({});
    open('/');
    await screen.findByRole('navigation');
    const before = asked.filter((a) => a.path === 'me').length;
    act(() => FakeEventSource.last.refuse());
    await waitFor(() => expect(asked.filter((a) => a.path === 'me').length).toBeGreaterThan(before));
    expect(screen.getByTestId('connection')).toHaveTextContent('Reconectando…');
  });

  it('speaks the other language and keeps it', async () => {
    serve({});
    const { user } = open('/');
    await user.click(await screen.findByRole('radio', { name: 'EN' }));
    expect(screen.getByRole('heading', { level: 1 })).toHaveTextContent('Overview');
    expect(document.documentElement.lang).toBe('en');
    expect(localStorage.getItem('rastro.language')).toBe('en');
  });

  it('signs out with the guard header and forgets what was looked at', async () => {
    const asked = serve({ 'auth/sign-out': { status: 500, body: { title: 'x', status: 500 } } });
    localStorage.setItem('rastro.recent.andina/ana', '[{"id":"0045123456","openedAt":1}]');
    const { user } = open('/');
    await user.click(await screen.findByRole('button', { name: 'Cuenta de Ana Quispe' }));
    await user.click(await screen.findByRole('menuitem', { name: 'Cerrar sesión' }));
    expect(await screen.findByText(/No se pudo cerrar la sesión/)).toBeInTheDocument();
    const call = asked.find((a) => a.path === 'auth/sign-out');
    expect(new Headers(call?.init?.headers).get('X-Rastro-CSRF')).toBe('1');
  });

  it('is driven by keys, but not while typing', async () => {
    serve({});
    const { user, router } = open('/');
    await screen.findByRole('heading', { name: 'Resumen' });
    await user.keyboard('gt');
    await screen.findByRole('heading', { name: 'Trazas' });
    expect(router.state.location.pathname).toBe('/traces');
    await user.keyboard('go'); // the search box of that page has the focus
    expect(router.state.location.pathname).toBe('/traces');
    act(() => (document.activeElement as HTMLElement).blur());
    await user.keyboard('?');
    expect(await screen.findByRole('dialog')).toHaveTextContent('Atajos de teclado');
    await user.keyboard('{Escape}');
    await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull());
    await user.keyboard('/');
    expect(document.activeElement).toHaveAttribute('data-search');
  });

  it('knows a page that does not exist', async () => {
    serve({});
    open('/nowhere');
    expect(await screen.findByRole('heading', { name: 'Esta página no existe' })).toBeInTheDocument();
  });
});

describe('the overview', () => {
  it('counts live', async () => {
    serve({});
    open('/');
    await screen.findByRole('heading', { name: 'Resumen' });
    expect(screen.getByTestId('count-accepted')).toHaveTextContent('—');
    act(() => FakeEventSource.last.send('history', { points: [tick(0, 1_000), tick(1, 1_100)] }));
    expect(screen.getByTestId('count-accepted')).toHaveTextContent('1.100');
    expect(screen.getByTestId('rate-stored')).toHaveTextContent('100');
    act(() =>
      FakeEventSource.last.send(
        'tick',
        tick(2, 12_345, { stored: 12_000, dead_letters: 7, dropped: 38, duplicates: 30 }),
      ),
    );
    expect(screen.getByTestId('count-stored')).toHaveTextContent('12.000');
    expect(screen.getByTestId('count-duplicates')).toHaveTextContent('30');
    expect(screen.getByTestId('count-deadLetters')).toHaveTextContent('7');
    expect(screen.getByTestId('count-dropped')).toHaveTextContent('8');
    expect(screen.getByTestId('count-inFlight')).toHaveTextContent('300');
    expect(screen.getByTestId('connection')).toHaveTextContent('En vivo');
  });

  it('has a table behind its chart', async () => {
    serve({});
    const { user } = open('/');
    await screen.findByRole('heading', { name: 'Resumen' });
    act(() => FakeEventSource.last.send('history', { points: [tick(0, 0), tick(10, 50), tick(20, 150)] }));
    await user.click(screen.getByRole('button', { name: 'Ver tabla' }));
    const table = screen.getByRole('table');
    expect(within(table).getAllByRole('row')).toHaveLength(3);
    expect(table).toHaveTextContent('10');
  });

  it('says when its data are old', async () => {
    serve({});
    open('/');
    await screen.findByRole('heading', { name: 'Resumen' });
    vi.useFakeTimers();
    act(() => setVisibility('visible')); // starts the watch anew, under the fake clock
    act(() => FakeEventSource.last.send('tick', tick(1, 10)));
    act(() => vi.advanceTimersByTime(12_000));
    expect(screen.getByRole('alert')).toHaveTextContent('Datos de hace 12 s, reconectando…');
    expect(screen.getByTestId('count-accepted')).toHaveTextContent('10');
    act(() => FakeEventSource.last.send('tick', tick(2, 20)));
    expect(screen.queryByRole('alert')).toBeNull();
    vi.useRealTimers();
  });

  it('goes to what is looked for', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user, router } = open('/');
    await screen.findByRole('heading', { name: 'Resumen' });
    await user.type(screen.getByRole('combobox', { name: 'Buscar una traza' }), ' 0045123456 {Enter}');
    expect(await screen.findByRole('heading', { level: 1, name: /0045123456/ })).toBeInTheDocument();
    expect(router.state.location.pathname).toBe('/traces/0045123456');
  });

  it('says what a number looks like', async () => {
    serve({});
    const { user } = open('/traces');
    await screen.findByRole('heading', { name: 'Trazas' });
    const box = document.activeElement as HTMLInputElement;
    await user.type(box, '020-12345674');
    expect(screen.getByText(/el dígito de control no coincide/)).toBeInTheDocument();
    await user.type(box, '{Backspace}5');
    expect(screen.getByText(/el dígito de control es correcto/)).toBeInTheDocument();
  });
});

describe('a trace', () => {
  const timeline = () => screen.findByTestId('timeline');

  it('tells its story in order of occurrence', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    open('/traces/0045123456');
    const events = within(await timeline()).getAllByRole('button');
    expect(events.map((e) => e.textContent)).toEqual(['Cargado', 'Cargado', 'En tránsito']);
    expect(screen.getByTestId('trace-status')).toHaveTextContent('FaltaEn tránsito');
    const last = events[2]?.closest('li');
    expect(last).toHaveTextContent('10:05:00');
    expect(last).toHaveTextContent('UTC−05:00');
    expect(last).toHaveTextContent('Lima');
    expect(last).toHaveTextContent('Perú');
    expect(last).toHaveTextContent('Recibido 11:30:00');
    expect(last).toHaveTextContent('1 h 25 min tarde');
    expect(last).toHaveTextContent('Fuera de orden');
  });

  it('strikes out what was corrected, names what corrected it and links both', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user, router } = open('/traces/0045123456');
    const [wrongOne, rightOne] = within(await timeline()).getAllByRole('button');
    expect(wrongOne?.querySelector('s')).toHaveTextContent('Cargado');
    expect(rightOne?.closest('li')).toHaveTextContent('Reemplaza LOD LOD-1 (datos incorrectos)');
    const row = wrongOne?.closest('li');
    expect(row).toHaveTextContent('Reemplazado por LOD LOD-2');
    await user.click(within(row as HTMLElement).getByRole('link', { name: 'LOD LOD-2' }));
    expect(router.state.location.search).toEqual({ event: 'u2' });
  });

  it('shows the payload in the digits it came in', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user } = open('/traces/0045123456?event=u2');
    const panel = await screen.findByTestId('event-panel');
    expect(panel).toHaveTextContent('"scanId": 9007199254740993');
    expect(panel).toHaveTextContent('"weight": 22.60');
    await user.click(within(panel).getByRole('radio', { name: 'Tal cual' }));
    expect(panel.querySelector('pre')?.textContent).toBe(payload);
    await user.click(within(panel).getByRole('tab', { name: 'Normalizado' }));
    expect(panel).toHaveTextContent('"event_id": "LOD-2"');
    expect(panel).not.toHaveTextContent('scanId');
    await user.click(within(panel).getByRole('tab', { name: 'Añadido' }));
    expect(panel).toHaveTextContent('"milestone": "loaded"');
  });

  it('copies what it shows', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user } = open('/traces/0045123456?event=u2');
    const panel = await screen.findByTestId('event-panel');
    await user.click(within(panel).getByRole('button', { name: 'Copiar JSON' }));
    expect(await within(panel).findByText('Copiado')).toBeInTheDocument();
    expect(await navigator.clipboard.readText()).toBe(payload);
  });

  it('is walked through with j and k, and sorted by reception', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user, router } = open('/traces/0045123456?event=u1');
    await timeline();
    await user.keyboard('j');
    await waitFor(() => expect(router.state.location.search).toEqual({ event: 'u2' }));
    await user.keyboard('k');
    await waitFor(() => expect(router.state.location.search).toEqual({ event: 'u1' }));
    await user.click(screen.getByRole('radio', { name: 'Por llegada' }));
    await waitFor(() => expect(router.state.location.search).toEqual({ event: 'u1', order: 'received' }));
  });

  it('is found by a piece too, and says so', async () => {
    serve({ 'trace?aggregateId=PIECE7': { body: bag } });
    open('/traces/PIECE7');
    expect(await screen.findByText(/PIECE7 es un bulto del viaje 0045123456/)).toBeInTheDocument();
  });

  it('that is not there says why, and how to go on', async () => {
    serve({});
    open('/traces/nothing');
    expect(await screen.findByRole('heading', { name: 'No hay ninguna traza con «nothing»' })).toBeInTheDocument();
    expect(screen.getByText('Solo se buscan trazas de andina.')).toBeInTheDocument();
    expect(screen.getByRole('link', { name: 'Volver a trazas' })).toHaveAttribute('href', '/traces');
  });

  it('that cannot be loaded offers to try again', async () => {
    let up = false;
    serve({
      'trace/0045123456': () =>
        up ? { body: bag } : { status: 503, body: { title: 'x', status: 503, detail: 'The store is down.' } },
    });
    const { user } = open('/traces/0045123456');
    expect(await screen.findByRole('alert')).toHaveTextContent('The store is down.');
    up = true;
    await user.click(screen.getByRole('button', { name: 'Reintentar' }));
    await timeline();
  });

  it('keeps showing what is known when it cannot be brought up to date', async () => {
    let up = true;
    serve({ 'trace/0045123456': () => (up ? { body: bag } : { status: 503, body: { title: 'x', status: 503 } }) });
    const { queryClient } = open('/traces/0045123456');
    await timeline();
    up = false;
    await act(() => queryClient.refetchQueries({ queryKey: ['trace'] }));
    expect(await screen.findByText(/se muestra lo último que se sabe/)).toBeInTheDocument();
    expect(screen.getByTestId('timeline')).toBeInTheDocument();
  });

  it('without events says what comes next', async () => {
    serve({ 'trace/new': { body: { correlation_id: 'new', status: 'unknown', event_count: 0, events: [] } } });
    open('/traces/new');
    expect(await screen.findByText('Esta traza todavía no tiene eventos.')).toBeInTheDocument();
  });

  it('is remembered, and can be forgotten', async () => {
    serve({ 'trace/0045123456': { body: bag } });
    const { user, router } = open('/traces/0045123456');
    await timeline();
    await act(() => router.navigate({ to: '/traces' }));
    const list = await screen.findByRole('region', { name: 'Recientes' });
    expect(within(list).getByRole('link')).toHaveTextContent('0045123456En tránsito');
    await user.click(within(list).getByRole('button', { name: 'Borrar recientes' }));
    expect(screen.queryByRole('region', { name: 'Recientes' })).toBeNull();
    expect(localStorage.getItem('rastro.recent.andina/ana')).toBeNull();
  });
});
