import { act, screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeEventSource, setVisibility } from '../test/event-source';
import { operations } from '../test/operations';
import { open } from '../test/render';

const job = (change: object = {}) => ({
  id: 'j1',
  tenant_id: 'andina',
  action: 'discard',
  who: 'Ana Quispe',
  state: 'done',
  created_at: '2026-06-20T12:00:00Z',
  filter: { reason: ['future'], stage: ['validate'] },
  total: 4,
  settled: 4,
  redriven: 0,
  discarded: 3,
  skipped: 1,
  failed: 0,
  per_second: 0,
  rate_limit: 0,
  reason: 'old clock',
  ...change,
});

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
});

describe('jobs', () => {
  it('that discarded are undone by redriving the same letters, with a dry run and a reason as ever', async () => {
    const asked = operations({
      'dead-letters/jobs?': { body: { items: [job()] } },
      'dead-letters/redrive?dryRun': {
        body: { trial: { matched: 3, tried: 3, outcomes: { pass: 3 }, letters: [] } },
      },
    });
    const { user } = open('/dead-letters?view=jobs');
    const card = await screen.findByTestId('job-done');
    expect(card).toHaveTextContent('«old clock»');
    expect(card).toHaveTextContent('4 de 4');
    expect(card).toHaveTextContent('1 sin nada que hacer');
    await user.click(within(card).getByRole('button', { name: 'Deshacer: reenviar' }));
    const dialog = await screen.findByTestId('action');
    expect(await within(dialog).findByTestId('trial')).toHaveTextContent('3 pasarían');
    expect(dialog).toHaveTextContent('future');
    expect(within(dialog).getByTestId('confirm')).toBeDisabled();
    const request = asked.find((a) => a.path.startsWith('dead-letters/redrive?dryRun'))?.init as Request;
    expect(await request.clone().json()).toEqual({
      filter: { reason: ['future'], stage: ['validate'], state: ['discarded'] },
    });
  });

  it('get on as the stream tells, and are cancelled', async () => {
    const running = job({ action: 'redrive', state: 'running', discarded: 0, skipped: 0, total: 400, per_second: 50 });
    const asked = operations({
      'dead-letters/jobs/j1/cancel': { body: running },
      'dead-letters/jobs/j1': { status: 503, body: { title: 'x', status: 503 } },
      'dead-letters/jobs?': { body: { items: [running] } },
    });
    const { user } = open('/dead-letters?view=jobs');
    const card = await screen.findByTestId('job-running');
    expect(card).toHaveTextContent('0 de 400');
    act(() => FakeEventSource.last.send('job', { ...running, redriven: 100 }));
    await waitFor(() => expect(card).toHaveTextContent('100 de 400'));
    expect(card).toHaveTextContent('50/s');
    expect(card).toHaveTextContent('faltan 6 s');
    await user.click(within(card).getByRole('button', { name: 'Cancelar' }));
    await waitFor(() => expect(asked.map((a) => a.path)).toContain('dead-letters/jobs/j1/cancel'));
  });
});
