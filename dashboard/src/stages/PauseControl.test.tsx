import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { alertList } from '../test/alerts';
import { setVisibility } from '../test/event-source';
import { gauge, operations, operator, stage } from '../test/operations';
import { open } from '../test/render';

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
});

describe('a paused stage', () => {
  const pause = {
    id: 'tracking.persist',
    pipeline: 'tracking',
    stage: 'persist',
    paused_by: 'eva',
    paused_by_name: 'Eva Soto',
    reason: 'se muda el almacén',
    since: '2026-06-20T12:00:00Z',
    stages: ['tracking.enrich', 'tracking.persist'],
  };
  const enrich = stage('enrich', { health: 'paused', paused: pause, processes: 2, paused_processes: 2 });
  const persist = stage('persist', {
    hop: 'enrich',
    health: 'paused',
    paused: pause,
    processes: 2,
    paused_processes: 1,
    breaker: 'open',
    now: { ...gauge, age_ms: 500_000 },
  });
  const detail = (of: object) => ({
    body: { ...of, summary: '', config: '', fields: [], version: 'abc', took_distribution: [] },
  });

  it('is shown as that first, and not as late', async () => {
    operations({
      alerts: { body: alertList([]) },
      'overview?': {
        body: {
          at: '2026-06-20T12:00:00Z',
          window: '15m0s',
          accepted_per_second: {},
          stored_per_second: {},
          p95_ms: {},
          dead_letters_open: 0,
          dead_letters_last_hour: 0,
          now: { in_flight: 0, stages: {} },
          paused: [pause],
          balance: [],
          failures: [],
          slowest: [],
        },
      },
      'topology?': {
        body: {
          nodes: [stage('validate'), enrich, persist],
          edges: [{ topic: 'tracking.enrich', from: ['tracking.validate'], to: ['tracking.enrich'], per_second: 5 }],
        },
      },
      queues: {
        body: {
          items: [
            {
              topic: 'tracking.enrich',
              reader: 'tracking',
              stage: 'enrich',
              depth: 500,
              ready: 500,
              head_ms: 900_000,
              approximate: false,
              in_per_second: 5,
              out_per_second: 0,
              trend: 'growing',
              health: 'paused',
              paused: pause,
            },
          ],
        },
      },
      'stages?': { body: { version: 'abc', items: [stage('validate'), enrich, persist] } },
    });
    const { router } = open('/');
    const attention = await screen.findByTestId('attention');
    await waitFor(() =>
      expect(attention).toHaveTextContent('tracking.persist está en pausa, por Eva Soto: se muda el almacén'),
    );
    expect(within(attention).getAllByRole('listitem')).toHaveLength(1);
    for (const id of ['enrich', 'persist']) {
      const node = screen.getByTestId(`stage-tracking.${id}`);
      expect(node).toHaveAttribute('data-health', 'paused');
      expect(node).toHaveTextContent('En pausa');
    }
    expect(screen.getByTestId('stage-tracking.validate')).toHaveAttribute('data-health', 'ok');
    await act(() => router.navigate({ to: '/stages' }));
    const rows = within(await screen.findByTestId('stages')).getAllByRole('row');
    expect(rows[1]).toHaveTextContent('En pausa');
    expect(rows[2]).toHaveTextContent('En pausa');
    await act(() => router.navigate({ to: '/queues' }));
    const queue = within(await screen.findByTestId('queues')).getAllByRole('row')[1] as HTMLElement;
    expect(queue).toHaveAttribute('data-health', 'paused');
    expect(within(queue).getByTitle('En pausa, por Eva Soto: se muda el almacén')).toBeInTheDocument();
  });

  it('says who wants it and why, and goes on when it is resumed', async () => {
    let paused = true;
    const asked = operations({
      'stages/tracking.persist?': () => detail(paused ? persist : stage('persist')),
      'stages/tracking.persist/resume': () => {
        paused = false;
        return { body: { id: 'tracking.persist', paused: false, changed: true, stages: [], held_by: [] } };
      },
    });
    const { user } = open('/stages/tracking.persist');
    const banner = await screen.findByTestId('paused');
    expect(banner).toHaveTextContent('En pausa, por Eva Soto');
    expect(banner).toHaveTextContent('se muda el almacén');
    expect(banner).toHaveTextContent('1 de 2 procesos ya están parados');
    await user.click(screen.getByRole('button', { name: 'Reanudar' }));
    const dialog = await screen.findByTestId('pause');
    await user.click(within(dialog).getByTestId('confirm'));
    await waitFor(() => expect(screen.queryByTestId('paused')).toBeNull());
    expect(await screen.findByRole('button', { name: 'Pausar' })).toBeEnabled();
    expect(screen.queryByTestId('pause')).toBeNull();
    expect(asked.filter((a) => a.path.includes('/resume'))).toHaveLength(1);
  });

  it('is paused with a reason, once what stands still with it has been said', async () => {
    let paused = false;
    const asked = operations({
      'stages/tracking.persist?': () => detail(paused ? persist : stage('persist', { hop: 'enrich' })),
      'stages?': { body: { version: 'abc', items: [stage('enrich'), stage('persist', { hop: 'enrich' })] } },
      'stages/tracking.persist/pause': () => {
        paused = true;
        return { body: { id: 'tracking.persist', paused: true, changed: true, stages: [], held_by: [], pause } };
      },
    });
    const { user } = open('/stages/tracking.persist');
    await user.click(await screen.findByRole('button', { name: 'Pausar' }));
    const dialog = await screen.findByTestId('pause');
    await waitFor(() => expect(dialog).toHaveTextContent('Comparten su tramo y también se paran: tracking.enrich'));
    const confirm = within(dialog).getByTestId('confirm');
    expect(confirm).toBeDisabled();
    await user.type(within(dialog).getByRole('textbox', { name: /Por qué/ }), ' se muda el almacén ');
    await user.click(confirm);
    expect(await screen.findByTestId('paused')).toHaveTextContent('Eva Soto');
    const request = asked.find((a) => a.path.includes('/pause'))?.init as Request;
    expect(request.method).toBe('POST');
    expect(request.headers.get('X-Rastro-CSRF')).toBe('1');
    expect(await request.clone().json()).toEqual({ reason: 'se muda el almacén' });
  });

  it('says where it stands still for another, and says what went wrong', async () => {
    operations({
      'stages/tracking.enrich?': detail(enrich),
      'stages/tracking.enrich/pause': { status: 503, body: { title: 'x', status: 503, detail: 'The store is away.' } },
    });
    const { user } = open('/stages/tracking.enrich');
    const banner = await screen.findByTestId('paused');
    expect(within(banner).getByRole('link', { name: 'tracking.persist' })).toHaveAttribute(
      'href',
      '/stages/tracking.persist',
    );
    await user.click(screen.getByRole('button', { name: 'Pausar' }));
    const dialog = await screen.findByTestId('pause');
    await user.type(within(dialog).getByRole('textbox', { name: /Por qué/ }), 'también');
    await user.click(within(dialog).getByTestId('confirm'));
    expect(await within(dialog).findByRole('alert')).toHaveTextContent('The store is away.');
  });

  it('is not to be changed by whoever may not', async () => {
    for (const [roles, shown] of [
      [['traces:read', 'ops:read'], false],
      [['traces:read', 'ops:read', 'ops:write'], true],
    ] as const) {
      operations({ me: { body: { ...operator, roles } }, 'stages/tracking.persist?': detail(persist) });
      const { unmount } = open('/stages/tracking.persist');
      expect(await screen.findByTestId('paused')).toBeInTheDocument();
      const button = screen.queryByRole('button', { name: 'Reanudar' });
      if (shown) expect(button).toBeDisabled();
      else expect(button).toBeNull();
      unmount();
    }
  });
});
