import { act, screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEventSource, setVisibility, tick } from '../test/event-source';
import { gauge, operations, stage } from '../test/operations';
import { open } from '../test/render';

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
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

  it('says how full its batches are and what it retries, as the stream tells', async () => {
    operations({
      'stages/tracking.persist?': {
        body: {
          ...stage('persist', { breaker: 'open', health: 'bad', batch_fill: 0.25 }),
          summary: 'Stores events.',
          config: '{}',
          fields: [],
          version: 'abc',
        },
      },
    });
    open('/stages/tracking.persist');
    const fill = (await screen.findByText('Lotes llenos')).closest('div');
    expect(fill).toHaveTextContent('25');
    expect(screen.getByText('Abierto')).toBeInTheDocument();
    const retries = screen.getByText('Reintenta').closest('div');
    expect(retries).toHaveTextContent('0/s');
    act(() =>
      FakeEventSource.last.send(
        'tick',
        tick(1, 10, { stages: { 'tracking/persist': { ...gauge, retried_per_second: 4 } } }),
      ),
    );
    expect(retries).toHaveTextContent('4/s');
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
