import { screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { setVisibility } from '../test/event-source';
import { group, operations, original } from '../test/operations';
import { open } from '../test/render';

beforeEach(() => {
  document.documentElement.lang = 'es';
  setVisibility('visible');
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

  it('are grouped by stage, reason and carrier, and a group is gone into and redriven', async () => {
    const asked = operations({
      'dead-letters/groups?': {
        body: {
          items: [group(2, { source: 'LA' }), group(1, { source: 'H2', reason: 'schema', example: 'no place' })],
        },
      },
      'dead-letters/redrive?dryRun': { body: { trial: { matched: 2, tried: 2, outcomes: { pass: 2 }, letters: [] } } },
    });
    const { user, router } = open('/dead-letters');
    const groups = await screen.findByRole('region', { name: 'Causas' });
    const [first, second] = within(groups).getAllByRole('listitem') as [HTMLElement, HTMLElement];
    expect(first).toHaveTextContent('2future · validate · LA');
    expect(second).toHaveTextContent('schema · validate · H2no place');
    await user.click(within(first).getByRole('button', { name: 'Reenviar' }));
    expect(await within(await screen.findByTestId('action')).findByTestId('trial')).toHaveTextContent('2 pasarían');
    const request = asked.find((a) => a.path.startsWith('dead-letters/redrive?dryRun'))?.init as Request;
    expect((await request.clone().json()).filter).toMatchObject({
      stage: ['validate'],
      reason: ['future'],
      source: ['LA'],
    });
    await user.click(screen.getByRole('button', { name: 'Cancelar' }));
    await waitFor(() => expect(screen.queryByTestId('action')).toBeNull());
    await user.click(within(second).getByText('no place'));
    await waitFor(() =>
      expect(router.state.location.search).toMatchObject({ stage: 'validate', reason: 'schema', source: 'H2' }),
    );
  });

  it('that are none say what that means', async () => {
    operations({ 'dead-letters?': { body: { items: [] } } });
    open('/dead-letters');
    expect(await screen.findByText('Nada espera revisión')).toBeInTheDocument();
  });
});
