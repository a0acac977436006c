import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEventSource, setVisibility, tick } from '../test/event-source';
import { type Answer, me, open, serve } from '../test/render';

const operator = {
  ...me,
  roles: ['traces:read', 'ops:read', 'ops:write', 'tenants:all'],
  features: ['traces', 'stream', 'operations', 'dead_letters', 'redrive'],
  tenants: [
    { id: 'andina', name: 'Andina' },
    { id: 'boreal', name: 'Boreal' },
  ],
};
const gauge = {
  in_per_second: 5,
  out_per_second: 5,
  dropped_per_second: 0,
  rejected_per_second: 0,
  retried_per_second: 0,
};
const stage = (name: string, more: object = {}) => ({
  id: `tracking.${name}`,
  pipeline: 'tracking',
  name,
  use: name,
  hop: name,
  topic: `tracking.${name}`,
  to: [],
  workers: 2,
  processes: 1,
  paused_processes: 0,
  breaker: 'closed',
  now: gauge,
  outcomes: { pass: 90, reject: 10 },
  ...more,
});
const letter = (id: string) => ({
  id,
  uid: `uid-${id}`,
  tenant_id: 'andina',
  pipeline: 'tracking',
  stage: 'validate',
  reason: 'future',
  message: 'too far ahead',
  source: 'LA',
  event_type: 'LOD',
  correlation_id: '0045123456',
  attempts: 1,
  rejected_at: '2026-06-20T12:00:00Z',
  changed_at: '2026-06-20T12:00:00Z',
  state: 'open',
  redrives: 0,
});
const group = (count: number, more: object = {}) => ({
  stage: 'validate',
  reason: 'future',
  pipeline: 'tracking',
  count,
  oldest: '2026-06-20T12:00:00Z',
  newest: '2026-06-20T12:00:00Z',
  example: 'too far ahead',
  ...more,
});
const original = '{"scanId": 9007199254740993}';

/** Plays a server that knows the operations; the first whose beginning matches answers. */
function operations(special: Record<string, Answer | (() => Answer)> = {}, count = 3) {
  const usual: Record<string, Answer | (() => Answer)> = {
    me: { body: operator },
    'overview?': {
      body: {
        at: '2026-06-20T12:00:00Z',
        window: '15m0s',
        accepted_per_second: {},
        stored_per_second: { value: 5, previous: 4, delta: 0.25 },
        p95_ms: { value: 120 },
        dead_letters_open: count,
        dead_letters_last_hour: 1,
        now: { in_flight: 0, stages: {} },
        paused: [],
        balance: [],
        failures: [],
        slowest: [],
      },
    },
    'topology?': {
      body: {
        nodes: [stage('validate'), stage('persist', { breaker: 'open' })],
        edges: [
          { topic: 'in', from: [], to: ['tracking.validate'], per_second: 5 },
          { topic: 'tracking.persist', from: ['tracking.validate'], to: ['tracking.persist'], per_second: 5 },
        ],
      },
    },
    queues: {
      body: {
        items: [
          {
            topic: 'tracking.persist',
            reader: 'tracking',
            stage: 'persist',
            depth: 500,
            ready: 500,
            in_flight: 0,
            delayed: 0,
            head_ms: 200_000,
            approximate: true,
            in_per_second: 5,
            out_per_second: 1,
            trend: 'growing',
          },
          {
            topic: 'in',
            reader: 'tracking',
            depth: 0,
            ready: 0,
            in_flight: 0,
            delayed: 0,
            approximate: true,
            in_per_second: 5,
            out_per_second: 5,
            trend: 'steady',
          },
        ],
      },
    },
    'metrics?': { body: { from: '2026-06-20T11:45:00Z', to: '2026-06-20T12:00:00Z', step_seconds: 60, series: [] } },
    'dead-letters/groups?': { body: { items: [group(count)] } },
    'dead-letters/jobs?': { body: { items: [] } },
    'dead-letters/l1': {
      body: {
        ...letter('l1'),
        original: btoa(original),
        history: [{ at: '2026-06-20T12:00:00Z', what: 'rejected', reason: 'future', message: 'too far ahead' }],
      },
    },
    'dead-letters?': { body: { items: [letter('l1'), letter('l2')] } },
    'stages/tracking.validate?': {
      body: {
        ...stage('validate'),
        summary: 'Checks events.',
        config: 'future_skew: 5m\n',
        fields: [{ path: 'future_skew', type: 'duration', default: '5m', doc: 'How far ahead.' }],
        version: 'abc',
        took_distribution: [
          { up_to_ms: 1, count: 3 },
          { up_to_ms: 2, count: 7 },
        ],
        took: { count: 10, p50_ms: 1, p95_ms: 2, p99_ms: 2, max_ms: 2 },
      },
    },
    'stages?': { body: { version: 'abc', items: [stage('validate'), stage('persist', { breaker: 'open' })] } },
  };
  // What is special is looked for first.
  const known = { ...special, ...Object.fromEntries(Object.entries(usual).filter(([path]) => !(path in special))) };
  const answering = new Proxy(known, {
    get: (all, path: string) => Object.entries(all).find(([begin]) => path === begin || path.startsWith(begin))?.[1],
  });
  return serve(answering);
}

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
    expect(attention).toHaveTextContent('3 eventos sin procesar esperan una decisión (1 en la última hora)');
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

describe('a stage', () => {
  it('shows figures, distribution and configuration', async () => {
    operations();
    const { user } = open('/stages/tracking.validate');
    expect(await screen.findByRole('heading', { level: 1 })).toHaveTextContent('tracking.validate');
    const bars = await screen.findByRole('list', { name: 'Reparto de la latencia' });
    expect(within(bars).getAllByRole('listitem')[1]).toHaveTextContent('Hasta 2 ms: 7 (70');
    expect(screen.getByRole('link', { name: 'Ver los rechazados' })).toHaveAttribute(
      'href',
      expect.stringContaining('stage=validate'),
    );
    await user.click(screen.getAllByRole('link', { name: 'Configuración' }).at(-1) as HTMLElement);
    expect(await screen.findByText('future_skew: 5m')).toBeInTheDocument();
    expect(screen.getByText('How far ahead.')).toBeInTheDocument();
  });

  it('that is not there says so', async () => {
    operations();
    open('/stages/tracking.gone');
    expect(await screen.findByRole('heading', { level: 1, name: /No hay ninguna etapa/ })).toBeInTheDocument();
  });

  it('list puts what is cut off first', async () => {
    operations();
    open('/stages');
    const rows = within(await screen.findByTestId('stages')).getAllByRole('row');
    expect(rows[1]).toHaveTextContent('tracking.persist');
    expect(rows[1]).toHaveTextContent('Abierto');
  });
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
  const enrich = stage('enrich', { paused: pause, processes: 2, paused_processes: 2 });
  const persist = stage('persist', {
    hop: 'enrich',
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

describe('dead letters', () => {
  it('are looked at in the bytes that came', async () => {
    operations();
    const { user } = open('/dead-letters?letter=l1'); // a link to it opens it
    const panel = await screen.findByTestId('letter');
    expect(panel).toHaveTextContent('"scanId": 9007199254740993');
    await user.click(within(panel).getByRole('radio', { name: 'Tal cual' }));
    expect(panel.querySelector('pre')?.textContent).toBe(original);
    await user.click(within(panel).getByRole('radio', { name: 'Hexadecimal' }));
    expect(panel).toHaveTextContent('00000000 7b 22 73 63');
  });

  it('are tried before they are redriven, with a reason and the count that was seen', async () => {
    const bodies: { path: string; body: unknown }[] = [];
    const trial = {
      matched: 3,
      tried: 3,
      outcomes: { pass: 2, rejected: 1 },
      letters: [
        {
          letter_id: 'l1',
          uid: 'u',
          pipeline: 'tracking',
          stage: 'validate',
          outcome: 'rejected',
          at: 'validate',
          reason: 'future',
          message: 'still ahead',
        },
      ],
    };
    const asked = operations({
      'dead-letters/redrive?dryRun': { body: { trial } },
      'dead-letters/redrive?': { status: 202, body: { job: { id: 'j1' } } },
    });
    const { user, router } = open('/dead-letters?reason=future');
    await screen.findByTestId('letters');
    await user.click(screen.getAllByRole('button', { name: 'Reenviar' }).at(-1) as HTMLElement);
    const dialog = await screen.findByTestId('action');
    expect(await within(dialog).findByTestId('trial')).toHaveTextContent('2 pasarían');
    expect(dialog).toHaveTextContent('still ahead');
    expect(dialog).toHaveTextContent('Motivo: future');
    const confirm = within(dialog).getByTestId('confirm');
    expect(confirm).toBeDisabled();
    await user.type(within(dialog).getByRole('textbox', { name: /Por qué/ }), 'clock was fixed');
    expect(confirm).toBeEnabled();
    await user.click(confirm);
    await waitFor(() => expect(router.state.location.search).toMatchObject({ view: 'jobs', job: 'j1' }));
    for (const a of asked)
      if (a.init instanceof Request && a.init.method === 'POST') bodies.push({ path: a.path, body: a.init });
    const real = bodies.at(-1);
    expect(real?.path).toContain('expectedCount=3');
    expect(real?.path).toContain('rate=50');
  });

  it('must be counted out when they are many', async () => {
    operations(
      {
        'dead-letters/redrive?dryRun': {
          body: { trial: { matched: 1500, tried: 500, outcomes: { pass: 500 }, letters: [] } },
        },
      },
      1500,
    );
    const { user } = open('/dead-letters');
    await screen.findByTestId('letters');
    await user.click(screen.getAllByRole('button', { name: 'Reenviar' }).at(-1) as HTMLElement);
    const dialog = await screen.findByTestId('action');
    await within(dialog).findByTestId('trial');
    await user.type(within(dialog).getByRole('textbox', { name: /^Por qué/ }), 'because');
    expect(within(dialog).getByTestId('confirm')).toBeDisabled();
    await user.type(within(dialog).getByRole('textbox', { name: /escribe 1\.500/ }), '1500');
    expect(within(dialog).getByTestId('confirm')).toBeEnabled();
  });

  it('that are no longer as many are left alone, and that is said', async () => {
    operations({
      'dead-letters/discard?': {
        status: 409,
        body: { type: '/problems/count-differs', title: 'Conflict', status: 409, detail: '9 match now' },
      },
    });
    const { user } = open('/dead-letters');
    await screen.findByTestId('letters');
    await user.click(screen.getByRole('button', { name: 'Descartar' }));
    const dialog = await screen.findByTestId('action');
    await user.type(within(dialog).getByRole('textbox', { name: /^Por qué/ }), 'old');
    await user.click(within(dialog).getByTestId('confirm'));
    expect(await within(dialog).findByRole('alert')).toHaveTextContent('9 match now');
  });

  it('that are none say what that means', async () => {
    operations({ 'dead-letters?': { body: { items: [] } } });
    open('/dead-letters');
    expect(await screen.findByText('Nada espera revisión')).toBeInTheDocument();
  });
});
