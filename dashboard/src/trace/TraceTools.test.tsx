import { screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { me, open, serve } from '../test/render';

const event = (uid: string, hour: number, change: object = {}) => ({
  uid,
  tenant_id: 'andina',
  source: 'LA-cargo',
  event_id: `E-${uid}`,
  correlation_id: 'J-1',
  aggregate_id: 'J-1',
  event_type: 'DEP',
  classifier: 'actual',
  timestamp: `2025-11-20T${hour}:00:00Z`,
  received_at: `2025-11-20T${hour}:00:05Z`,
  enrichment: { milestone: 'in_transit' },
  ...change,
});
const trace = (events: object[], change: object = {}) => ({
  tenant_id: 'andina',
  correlation_id: 'J-1',
  kind: 'cargo',
  status: 'in_transit',
  milestones: [],
  event_count: events.length,
  events,
  ...change,
});
const all = [event('u1', 10), event('u2', 11, { personal: { masked: true }, payload: 'é' }), event('u3', 12)];
const served = { 'trace/J-1': { body: trace(all, { copies: { u1: 2 } }) } };

beforeEach(() => {
  document.documentElement.lang = 'es';
});

describe('going back in time', () => {
  const before = {
    ...served,
    'trace/J-1?asOf=2025-11-20T11%3A00%3A00.000000Z': { body: trace(all.slice(0, 2)) },
    'trace/J-1?knownAt=2025-11-20T09%3A00%3A00Z': { status: 404, body: { title: 'x', status: 404 } },
  };

  it('shows what had happened by then, says so, and comes back', async () => {
    serve(before);
    const { user } = open('/traces/J-1?asOf=2025-11-20T11:00:00.000000Z');
    expect(await screen.findByText(/Así estaba el viaje el 20 nov 2025, 11:00:00/)).toBeInTheDocument();
    expect(screen.getByText('1 evento posterior no se muestra.')).toBeInTheDocument();
    const slider = screen.getByRole('slider', { name: 'Ver en el tiempo' });
    expect(slider).toHaveValue('2');
    expect(slider).toHaveAttribute('aria-valuetext', expect.stringContaining('momento 2 de 3'));
    await user.click(screen.getByRole('button', { name: 'Volver a ahora' }));
    await waitFor(() => expect(within(screen.getByTestId('timeline')).getAllByRole('button')).toHaveLength(3));
  });

  it('to before anything was known shows nothing, and the way back', async () => {
    serve(before);
    open('/traces/J-1?knownAt=2025-11-20T09:00:00Z');
    expect(await screen.findByText('En ese momento todavía no había nada de este viaje.')).toBeInTheDocument();
    expect(screen.queryByTestId('timeline')).toBeNull();
  });
});

describe('an event', () => {
  it('that came several times is one row that says so', async () => {
    serve(served);
    open('/traces/J-1');
    const [row] = within(await screen.findByTestId('timeline')).getAllByRole('button');
    expect(row?.closest('li')).toHaveTextContent('×3');
    expect(screen.getByText(/2 copias descartadas/)).toBeInTheDocument();
  });

  it('shows its bytes as they travel', async () => {
    serve(served);
    const { user } = open('/traces/J-1?event=u2');
    const panel = await screen.findByTestId('event-panel');
    await user.click(within(panel).getByRole('radio', { name: 'Hex' }));
    expect(panel).toHaveTextContent('00000000 22 c3 a9 22');
  });

  it('has a passport: every stage, how long it took, and each copy', async () => {
    serve({
      ...served,
      'events/u1': {
        body: {
          uid: 'u1',
          outcome: 'stored',
          copies: 2,
          entries: [
            { at: '2025-11-20T10:00:05Z', verdict: 'received' },
            {
              at: '2025-11-20T10:00:06Z',
              verdict: 'passed',
              pipeline: 'tracking',
              stage: 'validate',
              took_ms: 1.25,
              waited_ms: 40,
              batch_events: 32,
            },
            {
              at: '2025-11-20T10:00:07Z',
              verdict: 'rejected',
              pipeline: 'tracking',
              stage: 'enrich',
              reason: 'schema',
              message: 'no place',
              attempts: 3,
              dead_letter_id: 'L-1',
            },
          ],
        },
      },
      'duplicates?correlationId=J-1&limit=1000': {
        body: {
          duplicates: [
            {
              uid: 'd1',
              of: 'u1',
              pipeline: 'tracking',
              stage: 'dedupe',
              code: 'duplicate',
              source: 'H2-cargo',
              received_at: '2025-11-20T10:01:05Z',
              later_seconds: 60,
              how: 'second_source',
            },
            { uid: 'd2', of: 'u3', pipeline: 'tracking', stage: 'dedupe', code: 'duplicate', source: 'other' },
          ],
        },
      },
    });
    const { user } = open('/traces/J-1?event=u1');
    await user.click(within(await screen.findByTestId('event-panel')).getByRole('tab', { name: 'Pasaporte' }));
    const passport = await screen.findByTestId('passport');
    expect(passport).toHaveTextContent('5 s después');
    expect(passport).toHaveTextContent('tracking › validate');
    expect(passport).toHaveTextContent('esperó 40 ms, tardó 1,3 ms · lote de 32');
    expect(passport).toHaveTextContent('Rechazado');
    expect(passport).toHaveTextContent('3 intentos');
    expect(passport).toHaveTextContent('no place');
    expect(within(passport).getByRole('link', { name: 'Mensaje apartado' })).toHaveAttribute(
      'href',
      '/dead-letters?letter=L-1',
    );
    expect(await within(passport).findByText('También lo envió H2-cargo')).toBeInTheDocument();
    expect(passport).toHaveTextContent('1 min más tarde');
    expect(passport).not.toHaveTextContent('other');
  });

  it('keeps what it says of a person hidden from whoever may not see it', async () => {
    serve(served);
    open('/traces/J-1?event=u2');
    expect(await screen.findByText('Para verlos hace falta el permiso personal:read.')).toBeInTheDocument();
  });

  it('shows it to whoever may, for a reason', async () => {
    const asked = serve({
      ...served,
      me: { body: { ...me, roles: ['traces:read', 'personal:read'] } },
      'events/u2/personal?reason=claim%204711': {
        body: '{"uid":"u2","subject":"C-1","fields":[{"field":"/payload/phone","value":51999888777666555}]}',
      },
    });
    const { user } = open('/traces/J-1?event=u2');
    await user.type(await screen.findByLabelText(/Motivo para verlos/), 'claim 4711');
    expect(asked.some((a) => a.path.includes('personal'))).toBe(false);
    await user.click(screen.getByRole('button', { name: 'Mostrar' }));
    const shown = await screen.findByTestId('personal');
    expect(shown).toHaveTextContent('C-1');
    expect(shown).toHaveTextContent('51999888777666555');
    expect(shown).toHaveTextContent('Esta consulta quedó registrada.');
  });
});
