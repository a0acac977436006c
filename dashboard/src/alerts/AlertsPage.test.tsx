import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { alert, alertList, breaker, letters } from '../test/alerts';
import { FakeEventSource, setVisibility } from '../test/event-source';
import { me, open, serve } from '../test/render';
import type { Alert, AlertList } from './queries';

const operator = {
  ...me,
  roles: ['traces:read', 'ops:read', 'ops:write'],
  features: ['traces', 'stream', 'operations', 'dead_letters', 'redrive'],
};
const silent = alert('carrier-silent', { id: 'carrier-silent:LA', subject: { source: 'LA' }, value: 2_520_000 });
const path = 'alerts/breaker-open%3Atracking%3Apersist/silence';

/** Plays a server with alerts that can be changed. */
function alerting(list: AlertList, who: typeof operator = operator) {
  const now = { list };
  const asked = serve({
    me: { body: who },
    alerts: () => ({ body: now.list }),
    [path]: () => {
      // A silence is taken off at the path where it is set; the alert is in the list once either way.
      const others = (now.list.items ?? []).filter((a) => a.id !== breaker.id);
      if (now.list.items?.some((a) => a.id === breaker.id && a.silence)) {
        now.list = alertList([breaker, ...others]);
        return { body: breaker };
      }
      const silence = { at: '2026-06-20T12:00:00Z', until: '2030-06-20T13:00:00Z', who: 'Ana', reason: 'conocido' };
      now.list = alertList([...others, { ...breaker, silence }]);
      return { body: { ...breaker, silence } };
    },
    'dead-letters/groups?by=pipeline&by=stage': { body: { items: [] } },
  });
  return { now, asked };
}

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
});

describe('the alerts', () => {
  it('stand with the worst first, by how bad they are, with what to do', async () => {
    alerting(alertList([breaker, silent, letters]));
    open('/alerts');
    const sections = await screen.findAllByRole('region');
    expect(sections.map((s) => within(s).getByRole('heading').textContent)).toEqual(['Crítico', 'Aviso', 'Para saber']);
    const first = within(sections[0] as HTMLElement);
    expect(first.getByRole('link', { name: /tracking\.persist está cortada/ })).toHaveAttribute(
      'href',
      '/stages/tracking.persist',
    );
    expect(first.getByRole('link', { name: /Qué hacer/ })).toHaveAttribute('href', breaker.runbook_url);
    expect(first.getByText('De todo el sistema')).toBeInTheDocument();
    const second = within(sections[1] as HTMLElement);
    expect(second.getByRole('link', { name: 'LA no envía nada desde hace 42 min' })).toHaveAttribute(
      'href',
      '/carriers?source=LA',
    );
    expect(sections[1]).toHaveTextContent('Ahora 42 min · límite 30 s');
    expect(sections[2]).toHaveTextContent('3 eventos sin procesar esperan una decisión');
    expect(screen.getAllByRole('link', { name: /^Alertas ?2 alertas por atender/ })).not.toHaveLength(0); // not the notice
  });

  it('are silenced for a while and with a reason, and folded away then', async () => {
    const { asked } = alerting(alertList([breaker, letters]));
    const { user } = open('/alerts');
    await user.click((await screen.findAllByRole('button', { name: 'Silenciar' }))[0] as HTMLElement);
    const dialog = await screen.findByTestId('silence');
    expect(dialog).toHaveTextContent('tracking.persist está cortada');
    expect(within(dialog).getByTestId('confirm-silence')).toBeDisabled(); // not without a reason
    await user.click(within(dialog).getByRole('radio', { name: '4 h' }));
    await user.type(within(dialog).getByRole('textbox', { name: /Por qué/ }), 'conocido');
    await user.click(within(dialog).getByTestId('confirm-silence'));
    await waitFor(() => expect(screen.queryByTestId('silence')).not.toBeInTheDocument());
    const sent = asked.find((a) => a.path === path)?.init as Request;
    expect(sent.method).toBe('POST');
    expect(sent.headers.get('X-Rastro-CSRF')).toBe('1');
    const folded = await screen.findByTestId('alerts-silenced');
    expect(folded).not.toHaveAttribute('open');
    expect(folded).toHaveTextContent('Silenciada por Ana');
    expect(folded).toHaveTextContent('conocido');
    expect(screen.queryByTestId('alerts-badge')).not.toBeInTheDocument();

    await user.click(within(folded).getByText('1 silenciada'));
    await user.click(within(folded).getByRole('button', { name: 'Quitar el silencio' }));
    await waitFor(() =>
      expect(asked.filter((a) => a.path === path).map((a) => (a.init as Request).method)).toContain('DELETE'),
    );
    await waitFor(() => expect(screen.queryByTestId('alerts-silenced')).not.toBeInTheDocument());
    expect(screen.getAllByText(/tracking\.persist está cortada/)).toHaveLength(1);
  });

  it('are read anew when the stream tells of one', async () => {
    const { now } = alerting(alertList([]));
    open('/alerts');
    expect(await screen.findByText('Nada va mal')).toBeInTheDocument();
    expect(FakeEventSource.last.url).toContain('alert');
    now.list = alertList([breaker]);
    act(() => FakeEventSource.last.send('alert', { ...breaker, change: 'fired' }));
    expect(await screen.findByText(/tracking\.persist está cortada/)).toBeInTheDocument();
    expect(await screen.findAllByTestId('alerts-badge')).not.toHaveLength(0);
  });

  it('that are none say what is watched', async () => {
    alerting(alertList([]));
    open('/alerts');
    expect(await screen.findByText('Nada va mal')).toBeInTheDocument();
    expect(screen.getByTestId('watched')).toHaveTextContent('Colas en las que se espera');
    expect(screen.getByTestId('watched')).toHaveTextContent('límite 30 s');
  });

  it('are not silenced by who may only look', async () => {
    alerting(alertList([breaker]), { ...operator, roles: ['traces:read', 'ops:read'] });
    open('/alerts');
    await screen.findByText(/tracking\.persist está cortada/);
    expect(screen.queryByRole('button', { name: 'Silenciar' })).not.toBeInTheDocument();
  });

  it('that were or may come to be are folded away', async () => {
    const over: Alert = { ...silent, state: 'resolved', resolved_at: '2026-06-20T11:59:00Z' };
    const { fired_at: _, ...coming } = alert('queue-growing', { id: 'q', state: 'pending', subject: { topic: 't' } });
    alerting(alertList([], { resolved: [over], pending: [{ ...coming, unit: 'messages' }] }));
    open('/alerts');
    expect(await screen.findByTestId('alerts-resolved')).toHaveTextContent('LA no envía nada');
    expect(screen.getByTestId('alerts-pending')).toHaveTextContent('La cola t crece');
  });

  it('that cannot be read say so', async () => {
    serve({
      me: { body: operator },
      alerts: { status: 503, body: { title: 'x', status: 503, detail: 'The store is away.' } },
    });
    open('/alerts');
    expect(await screen.findByText('The store is away.')).toBeInTheDocument();
  });
});
