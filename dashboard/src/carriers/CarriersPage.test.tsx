import { screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { carrier } from '../test/carriers';
import { me, open, serve } from '../test/render';

const ops = { body: { ...me, roles: ['traces:read', 'ops:read'], features: ['traces', 'stream', 'operations'] } };
const list = {
  items: [
    carrier('A-fine'),
    carrier('B-silent', { silent: true, silent_ms: 2_520_000, usual_gap_ms: 300_000, health: 'silent' }),
    carrier('C-failing', { error_share: 0.125, unknown_code_share: undefined, health: 'failing' }),
  ],
};
const unmapped = (change: object = {}) => ({
  carrier: 'C-failing',
  code: 'X1',
  key: 'X1',
  file: 'carriers/C-failing.yaml',
  sources: ['C-failing'],
  kinds: ['parcel'],
  count: 12,
  first_at: '2025-11-20T10:00:00Z',
  last_at: '2025-11-20T12:00:00Z',
  state: 'open',
  samples: [{ uid: 'u1', correlation_id: 'J-1', timestamp: '2025-11-20T11:59:00Z' }],
  ...change,
});
const proposal = { milestone: 'arrived', confidence: 0.7, why: 'the code says "arrived"', line: 'X1: arrived' };

/** The server of the page; what it is asked since a time is answered whatever the time. */
function served() {
  const asked = serve({
    me: ops,
    'carriers?window=15m': { body: list },
    'carriers/unmapped?carrier=C-failing&limit=100': { body: { items: [unmapped()] } },
    'carriers/settings?source=A-fine': { body: { items: [] } },
    'carriers/settings?source=C-failing': {
      body: {
        items: [
          {
            name: 'C-failing',
            summary: 'Charlie Express',
            shared: false,
            file: 'carriers/C-failing.yaml',
            address: '/api/v1/carriers/C-failing/events',
            format: 'mapped',
            shape: 'fedex',
            effective: [
              { key: 'defaults.source', value: 'C-failing', from: 'default' },
              { key: 'sources', value: [], from: 'default' },
              { key: 'defaults.time_zone', value: 'America/Lima', from: 'carrier' },
              { key: 'defaults.station', value: null, from: 'default' },
              { key: 'authentication.hmac', value: true, from: 'carrier' },
              { key: 'authentication.api_key', value: false, from: 'carrier' },
              { key: 'codes', value: 0, from: 'default' },
              { key: 'limits.events_per_second', value: 200, from: 'tenant' },
              { key: 'limits.max_body_bytes', value: 4_194_304, from: 'default' },
            ],
          },
        ],
      },
    },
    tenant: {
      body: {
        id: 'andina',
        name: 'Andina',
        country: 'PE',
        active: true,
        rate_per_second: 200,
        max_payload_bytes: 262_144,
        retention_days: 400,
        retention_by_kind: { cargo: 0 },
        event_types: [],
        sources: ['LA-baggage'],
        preferences: {},
        effective: [
          { key: 'active', value: true, from: 'default' },
          { key: 'rate_per_second', value: 200, from: 'tenant' },
          { key: 'max_payload_bytes', value: 131_072, from: 'process' },
          { key: 'retention_days', value: 400, from: 'tenant' },
          { key: 'retention_by_kind.cargo', value: null, from: 'tenant' },
          { key: 'event_types', value: [], from: 'default' },
          { key: 'sources', value: ['LA-baggage'], from: 'tenant' },
          { key: 'of_later_servers', value: 7, from: 'moon' },
        ],
      },
    },
  });
  const answered = fetch;
  const since: Record<string, object> = {
    'dead-letters/groups': {
      items: [
        {
          stage: 'validate',
          reason: 'schema',
          count: 12,
          oldest: '2025-11-20T11:00:00Z',
          newest: '2025-11-20T12:00:00Z',
          example: 'timestamp is missing',
        },
      ],
    },
    'duplicates/sources': {
      sources: [{ source: 'C-failing', events: 7, share: 0.5, second_source: 2, median_later_seconds: 42 }],
    },
  };
  globalThis.fetch = ((input: Request, init?: RequestInit) => {
    const path = new URL(typeof input === 'string' ? input : input.url).pathname.replace('/api/v1/', '');
    const body = since[path];
    return body
      ? Promise.resolve(new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } }))
      : answered(input, init);
  }) as typeof fetch;
  return asked;
}

beforeEach(() => {
  document.documentElement.lang = 'es';
});

describe('the carriers', () => {
  it('stand with the worst first, and say how they do', async () => {
    served();
    open('/carriers');
    const rows = await screen.findAllByTestId('carrier');
    expect(rows.map((row) => within(row).getByRole('rowheader').textContent)).toEqual([
      'B-silent',
      'C-failing',
      'A-fine',
    ]);
    expect(rows[0]).toHaveTextContent('En silencio');
    expect(rows[0]).toHaveTextContent('hace 42 minutos');
    expect(rows[0]).toHaveTextContent('normal hasta 5 min');
    expect(rows[1]).toHaveTextContent('12,5 %');
    expect(rows[1]).toHaveTextContent('—');
    expect(screen.getByText(/2 necesitan atención/)).toBeInTheDocument();
  });

  it('are sorted by what is clicked, and the address keeps it', async () => {
    served();
    const { user, router } = open('/carriers');
    await screen.findAllByTestId('carrier');
    await user.click(screen.getByRole('button', { name: /Fuente/ }));
    await waitFor(() => expect(router.state.location.search).toMatchObject({ by: 'source', up: true }));
    const names = screen.getAllByRole('rowheader').map((row) => row.textContent);
    expect(names).toEqual(['A-fine', 'B-silent', 'C-failing']);
    expect(screen.getByRole('columnheader', { name: /Fuente/ })).toHaveAttribute('aria-sort', 'ascending');
  });

  it('tell what is wrong with one, and how it is mended', async () => {
    served();
    const { user, router } = open('/carriers');
    await user.click(await screen.findByRole('button', { name: 'Ver C-failing' }));
    await waitFor(() => expect(router.state.location.search).toMatchObject({ source: 'C-failing' }));
    const detail = await screen.findByRole('region', { name: 'C-failing' });
    expect(await within(detail).findByText('validate › schema')).toBeInTheDocument();
    expect(detail).toHaveTextContent('12 eventos');
    expect(await within(detail).findByText(/7 copias, 50 % de todas/)).toBeInTheDocument();
    expect(detail).toHaveTextContent('2 ya las había enviado otra fuente');
    expect(await within(detail).findByText(/No hay propuesta/)).toBeInTheDocument();
    expect(within(detail).getByRole('link', { name: 'J-1' })).toHaveAttribute('href', '/traces/J-1?event=u1');
    expect(within(detail).getByRole('link', { name: 'Ver sus trazas' })).toHaveAttribute(
      'href',
      '/traces?source=C-failing',
    );
  });

  it('say so when there are none', async () => {
    serve({ me: ops, 'carriers?window=15m': { body: { items: [] } } });
    open('/carriers');
    expect(await screen.findByText(/Ningún transportista ha enviado nada/)).toBeInTheDocument();
  });

  it('have the codes that nobody knows in an inbox, to be applied when that is meant', async () => {
    const path = 'carriers/C-failing/unmapped/A%2FB/apply';
    const job = {
      id: 'job-1',
      carrier: 'C-failing',
      code: 'A/B',
      action: 'apply',
      who: 'Ana',
      state: 'running',
      total: 12,
      done: 0,
      traces: 0,
      changed: 0,
      created_at: '2025-11-20T12:00:00Z',
    };
    let waiting = [
      unmapped({ code: 'A/B', key: '"A/B"', proposal }),
      unmapped({ code: 'PING', key: 'PING', count: 1 }),
    ];
    const asked = serve({
      me: { body: { ...ops.body, roles: [...ops.body.roles, 'ops:write'] } },
      'carriers/unmapped?limit=100': () => ({ body: { items: waiting } }),
      [path]: () => {
        waiting = waiting.slice(1);
        return { status: 202, body: job };
      },
      'carriers/unmapped/jobs/job-1': { body: { ...job, state: 'done', done: 12, traces: 5, changed: 4 } },
    });
    const { user } = open('/carriers?tab=inbox');
    const inbox = await screen.findByTestId('inbox');
    const [first] = within(inbox).getAllByRole('listitem');
    if (!first) throw new Error('there is no code');
    await user.click(within(first).getByText('A/B'));
    expect(first).toHaveTextContent('12 eventos');
    expect(first).toHaveTextContent('Propuesta, con 70 % de confianza');
    expect(within(first).getByRole('combobox')).toHaveDisplayValue('Llegó (lo propuesto)');
    expect(within(first).getByText('"A/B": arrived')).toBeInTheDocument();
    expect(within(first).getByRole('link', { name: 'J-1' })).toHaveAttribute('href', '/traces/J-1?event=u1');
    await user.selectOptions(within(first).getByRole('combobox'), 'loaded');
    expect(within(first).getByText('"A/B": loaded')).toBeInTheDocument();

    await user.click(within(first).getByRole('button', { name: 'Aplicar…' }));
    const dialog = await screen.findByRole('dialog', { name: 'Aplicar A/B' });
    expect(asked.some((request) => request.path === path)).toBe(false);
    await user.type(within(dialog).getByRole('textbox', { name: 'Motivo' }), 'su lista');
    await user.click(within(dialog).getByTestId('confirm'));
    expect(await within(dialog).findByText('Hecho: 5 trazas recalculadas, cambian 4.')).toBeInTheDocument();
    const sent = asked.find((request) => request.path === path)?.init as Request;
    expect(await sent.json()).toEqual({ milestone: 'loaded', reason: 'su lista' });
    const close = within(dialog).getAllByRole('button', { name: 'Cerrar' });
    await user.click(close[close.length - 1] as HTMLElement);
    await waitFor(() => expect(screen.getAllByTestId('inbox')[0]).not.toHaveTextContent('A/B'));
    expect(screen.getByText('1 código sin traducir')).toBeInTheDocument();
  });

  it('let nobody decide about codes who may only look', async () => {
    serve({ me: ops, 'carriers/unmapped?limit=100': { body: { items: [unmapped({ proposal })] } } });
    const { user } = open('/carriers?tab=inbox');
    await user.click(await screen.findByText('X1'));
    expect(screen.getByRole('button', { name: 'Aplicar…' })).toBeDisabled();
    expect(screen.getByRole('button', { name: 'Descartar…' })).toBeDisabled();
    expect(screen.getByText(/hace falta el permiso ops:write/)).toBeInTheDocument();
  });

  it('say so when every code is known', async () => {
    serve({ me: ops, 'carriers/unmapped?limit=100': { body: { items: [] } } });
    open('/carriers?tab=inbox');
    expect(await screen.findByText('Ningún código espera traducción')).toBeInTheDocument();
  });

  it('have the settings of the tenant beside them, to be read', async () => {
    served();
    const { user } = open('/carriers');
    await user.click(await screen.findByRole('tab', { name: 'Organización' }));
    const settings = await screen.findByTestId('tenant');
    const rows = within(settings)
      .getAllByRole('row')
      .map((row) => row.textContent);
    expect(rows).toEqual([
      'AjusteValorViene de',
      'Ritmo máximorate_per_second200 eventos por segundoOrganización',
      'Tamaño máximo de los datosmax_payload_bytes128 KiB por eventoServidor',
      'Conservaciónretention_days400 díasOrganización',
      'Conservación de cargaretention_by_kind.cargoPara siempreOrganización',
      'Códigos permitidosevent_typesCualquieraPredeterminado',
      'Fuentes permitidassourcesLA-baggageOrganización',
      'of_later_servers7moon',
    ]);
    expect(settings).toHaveTextContent('Activa: se aceptan sus eventos');
  });

  it('say what holds for each, and where that comes from', async () => {
    served();
    const { user } = open('/carriers?source=C-failing');
    const settings = await screen.findByRole('table', { name: 'Lo que rige para C-failing' });
    expect(
      within(settings)
        .getAllByRole('row')
        .slice(1)
        .map((row) => row.textContent),
    ).toEqual([
      'Fuentedefaults.sourceC-failingPredeterminado',
      'También envía comosourcesNinguna otraPredeterminado',
      'Zona de las horas sin zonadefaults.time_zoneAmerica/LimaTransportista',
      'Lugar de los eventos sin lugardefaults.stationNingunoPredeterminado',
      'Firma (Standard Webhooks)authentication.hmacSe aceptaTransportista',
      'Clave de APIauthentication.api_keyNo se aceptaTransportista',
      'Códigos propioscodesNinguno: rige el catálogoPredeterminado',
      'Ritmo máximolimits.events_per_second200 eventos por segundoOrganización',
      'Tamaño máximo de una peticiónlimits.max_body_bytes4 MiB por peticiónPredeterminado',
    ]);
    const part = screen.getByTestId('carrier-settings');
    expect(part).toHaveTextContent('Charlie Express Formato mapped, con la forma de fedex');
    expect(part).toHaveTextContent('carriers/C-failing.yaml');

    await user.click(screen.getByRole('button', { name: 'Ver A-fine' }));
    expect(await screen.findByText(/no es de ningún transportista configurado/)).toBeInTheDocument();
    expect(screen.getByRole('link', { name: 'Ver lo que rige para la organización' })).toHaveAttribute(
      'href',
      '/carriers?tab=tenant',
    );
  });
});
