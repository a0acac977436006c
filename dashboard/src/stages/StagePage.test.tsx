import { screen, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { setVisibility } from '../test/event-source';
import { operations } from '../test/operations';
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
