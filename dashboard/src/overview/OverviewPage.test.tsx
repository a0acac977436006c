import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEventSource, setVisibility, tick } from '../test/event-source';
import { gauge, operations } from '../test/operations';
import { open } from '../test/render';

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
});

describe('the overview of who runs it', () => {
  it('says first what is not well, and leads there', async () => {
    operations();
    open('/');
    const attention = await screen.findByTestId('attention');
    await waitFor(() => expect(attention).toHaveTextContent('tracking.persist está cortada'));
    const items = within(attention).getAllByRole('listitem');
    expect(items[0]).toHaveAttribute('data-health', 'bad');
    expect(within(attention).getByRole('link', { name: /tracking\.persist está cortada/ })).toHaveAttribute(
      'href',
      '/stages/tracking.persist',
    );
    expect(attention).toHaveTextContent('3 eventos sin procesar esperan una decisión');
    expect(screen.getByTestId('kpi-letters')).toHaveAttribute('href', '/dead-letters');
  });

  it('follows each stage by the stream', async () => {
    operations();
    open('/');
    const node = await screen.findByTestId('stage-tracking.validate');
    expect(node).toHaveTextContent('5/s');
    act(() =>
      FakeEventSource.last.send(
        'tick',
        tick(1, 10, { stages: { 'tracking/validate': { ...gauge, out_per_second: 777, p95_ms: 23 } } }),
      ),
    );
    expect(node).toHaveTextContent('777/s');
    expect(node).toHaveTextContent('p95 23 ms');
  });

  it('says on a stage and on its queue what is retried, and on a stage what it rejects', async () => {
    operations();
    open('/');
    const node = await screen.findByTestId('stage-tracking.validate');
    const queue = screen.getByTitle('in');
    expect(queue).not.toHaveTextContent('vuelve');
    const tell = (at: number, more: object) =>
      act(() =>
        FakeEventSource.last.send('tick', tick(at, 10, { stages: { 'tracking/validate': { ...gauge, ...more } } })),
      );
    tell(1, { retried_per_second: 3 });
    expect(node).toHaveTextContent('3/s reintenta');
    expect(queue).toHaveTextContent('3/s vuelve');
    tell(2, { retried_per_second: 3, rejected_per_second: 2 });
    expect(node).toHaveTextContent('2/s rechaza');
    expect(queue).toHaveTextContent('3/s vuelve');
    tell(3, {});
    expect(queue).not.toHaveTextContent('vuelve');
  });

  it('draws lag by stage and what became of what was accepted, over the range that is chosen', async () => {
    const point = (value: number) => [{ at: '2026-06-20T11:45:00Z', value }];
    const figures = { from: '2026-06-20T11:45:00Z', to: '2026-06-20T12:00:00Z', step_seconds: 60 };
    const asked = operations({
      'metrics?series=age': {
        body: {
          ...figures,
          series: [
            { name: 'age.p95:tracking.validate', unit: 'ms', points: point(12) },
            { name: 'age.p95:tracking.persist', unit: 'ms', points: point(47_000) },
          ],
        },
      },
      'metrics?series=accepted': {
        body: {
          ...figures,
          series: Object.entries({ accepted: 20, stored: 12, duplicates: 2, dropped: 3, dead_letters: 1 }).map(
            ([name, value]) => ({ name, unit: 'per_second', points: point(value) }),
          ),
        },
      },
    });
    open('/?range=1h');
    await waitFor(() => expect(screen.getByTestId('lag-age.p95:tracking.persist')).toHaveTextContent('47 s'));
    expect(screen.getByTestId('lag-age.p95:tracking.validate')).toHaveTextContent('12 ms');
    await waitFor(() => expect(screen.getByTestId('settled-settled')).toHaveTextContent('16'));
    expect(screen.getByTestId('settled-duplicates')).toHaveTextContent('2');
    expect(screen.getByTestId('settled-dropped')).toHaveTextContent('1'); // copies are not counted twice
    expect(screen.getByTestId('settled-dead_letters')).toHaveTextContent('1');
    const lag = asked.find((a) => a.path.startsWith('metrics?series=age'));
    const { from, to } = Object.fromEntries(new URLSearchParams(lag?.path.split('?')[1]));
    expect(Date.parse(to ?? '') - Date.parse(from ?? '')).toBe(3_600_000);
  });

  it('stands still while it is held, and asks for another tenant by name', async () => {
    const asked = operations();
    const { user, router } = open('/');
    await screen.findByTestId('topology');
    await user.keyboard('p');
    expect(screen.getByTestId('connection')).toHaveTextContent('Detenido');
    expect(FakeEventSource.last.closed).toBe(true);
    await user.keyboard('p');
    await user.click(screen.getByRole('button', { name: /Organización: Andina/ }));
    await user.click(await screen.findByRole('menuitem', { name: 'Boreal' }));
    await waitFor(() =>
      expect(asked.some((a) => a.path.includes('overview') && a.path.includes('tenant=boreal'))).toBe(true),
    );
    expect(router.state.location.search).toMatchObject({ tenant: 'boreal' });
    expect(FakeEventSource.last.url).toContain('tenant=boreal');
  });

  it('is found in the palette', async () => {
    operations();
    const { user, router } = open('/');
    await screen.findByTestId('topology');
    await user.keyboard('{Control>}k{/Control}');
    const field = await screen.findByRole('combobox', { name: 'Ir a o hacer' });
    await user.type(field, 'colas{Enter}');
    await waitFor(() => expect(router.state.location.pathname).toBe('/queues'));
    const rows = within(await screen.findByTestId('queues')).getAllByRole('row');
    expect(rows[1]).toHaveTextContent('tracking.persist');
    expect(rows[1]).toHaveTextContent('≈500');
    expect(rows[1]).toHaveTextContent('3 min 20 s');
    expect(rows[1]).toHaveTextContent('Crece');
  });

  it('says what to do when the database is down', async () => {
    operations({
      'overview?': {
        status: 503,
        body: { title: 'x', status: 503, detail: 'The store does not answer.', instance: 'req-7' },
      },
    });
    open('/');
    const alert = await screen.findByRole('alert');
    expect(alert).toHaveTextContent('The store does not answer.');
    expect(alert).toHaveTextContent('req-7');
    expect(alert).toHaveTextContent('no responde ahora');
  });
});
