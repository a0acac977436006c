import { screen, waitFor, within } from '@testing-library/react';
import { beforeEach, describe, expect, it } from 'vitest';
import { me, open, serve } from '../test/render';

const all = ['traces:read', 'ops:read', 'tenants:all'];
const ops = { body: { ...me, roles: all, features: ['traces', 'stream', 'operations'] } };
const finding = {
  file: 'config/pipelines/tracking.yaml',
  line: 3,
  column: 10,
  code: 'unknown-stage',
  message: 'unknown stage "dedup"',
  hint: 'did you mean "dedupe"?',
  severity: 'error',
};
const config = {
  valid: false,
  read_at: '2025-11-20T12:00:00Z',
  pipelines: [
    { file: 'config/pipelines/a.yaml', name: 'a', version: '0123456789ab', yaml: 'pipeline: a\n', findings: [] },
    {
      file: finding.file,
      name: 'tracking',
      yaml: 'pipeline: tracking\nstages:\n  - use: dedup\n',
      findings: [
        finding,
        { ...finding, line: 0, code: 'whole', message: 'nothing is stored', hint: '', severity: 'warning' },
      ],
    },
  ],
  carriers: [],
  findings: [{ ...finding, file: 'config/tenants.yaml', line: 7, message: 'no such country' }],
  last_reload: {
    at: '2025-11-20T11:59:00Z',
    result: 'changed',
    changed: [{ pipeline: 'tracking', change: 'changed', stages: ['dedupe', 'enrich'] }],
    findings: [],
  },
};
const entry = (id: number, reason: string) => ({
  id,
  tenant_id: 'andina',
  at: '2025-11-20T12:00:00Z',
  subject: 'ana',
  name: 'Ana Quispe',
  client: 'rastro-dashboard',
  action: 'dead_letters.redrive',
  filter: { reason: ['schema'], stage: ['validate'] },
  count: 1_234,
  reason,
});

beforeEach(() => {
  document.documentElement.lang = 'es';
});

describe('the configuration', () => {
  it('shows the file that is wrong, and what is wrong below its line', async () => {
    serve({ me: ops, config: { body: config } });
    open('/config');
    const yaml = await screen.findByTestId('yaml');
    const line = within(yaml).getByText('dedup').closest('li');
    expect(line).toHaveAttribute('data-tone', 'bad');
    expect(line).toHaveTextContent('Error: unknown stage "dedup" did you mean "dedupe"?');
    expect(within(yaml).getByRole('list', { name: 'En todo el archivo' })).toHaveTextContent('nothing is stored');
    expect(screen.getByText('Con errores: ningún proceso la tomaría')).toBeInTheDocument();
    expect(screen.getByText('config/tenants.yaml:7')).toBeInTheDocument();
    expect(screen.getByText('etapas: dedupe, enrich')).toBeInTheDocument();
  });

  it('goes to another file, and the address keeps it', async () => {
    serve({ me: ops, config: { body: config } });
    const { user, router } = open('/config');
    await user.click(await screen.findByRole('button', { name: /^a/ }));
    await waitFor(() => expect(router.state.location.search).toMatchObject({ file: 'config/pipelines/a.yaml' }));
    expect(screen.getByRole('heading', { name: 'config/pipelines/a.yaml' })).toBeInTheDocument();
  });

  it('is not for whoever does not run it: they have their preferences', async () => {
    serve({});
    open('/config');
    expect(await screen.findByRole('radio', { name: 'UTC' })).toBeInTheDocument();
    expect(screen.getAllByRole('tab').map((tab) => tab.textContent)).toEqual(['Preferencias']);
  });
});

describe('the audit', () => {
  it('says who did what to what and why, page by page', async () => {
    serve({
      me: ops,
      'audit?limit=50': { body: { items: [entry(9, 'mended')], next_cursor: 9 } },
      'audit?limit=50&cursor=9': { body: { items: [{ ...entry(3, ''), filter: {} }] } },
    });
    const { user } = open('/config?tab=audit');
    const table = await screen.findByTestId('audit');
    expect(table).toHaveTextContent('Ana Quispecon rastro-dashboard');
    expect(table).toHaveTextContent('reason schemastage validate');
    expect(table).toHaveTextContent('1.234');
    expect(table).toHaveTextContent('mended');
    await user.click(screen.getByRole('button', { name: 'Cargar más' }));
    await waitFor(() => expect(within(table).getAllByRole('row')).toHaveLength(3));
    expect(table).toHaveTextContent('Todo');
    expect(screen.queryByRole('button', { name: 'Cargar más' })).toBeNull();
  });

  it('has what is nobody’s apart, asked for without naming a tenant', async () => {
    const asked = serve({
      me: { body: { ...ops.body, tenants: [...me.tenants, { id: 'boreal', name: 'Boreal' }] } },
      'audit?limit=50&tenant=boreal': { body: { items: [] } },
      'audit?limit=50&unowned=true': { body: { items: [entry(1, 'frames')] } },
    });
    const { user } = open('/config?tab=audit&tenant=boreal');
    expect(await screen.findByText('Nadie ha hecho nada a mano todavía')).toBeInTheDocument();
    await user.click(screen.getByRole('checkbox'));
    expect(await screen.findByText('frames')).toBeInTheDocument();
    expect(asked.map((a) => a.path)).toContain('audit?limit=50&unowned=true');
  });
});

describe('preferences', () => {
  it('tell instants in the zone that is chosen, and keep it', async () => {
    serve({ me: ops, 'audit?limit=50': { body: { items: [entry(9, 'mended')] } } });
    const { user, router } = open('/config?tab=preferences');
    await user.click(await screen.findByRole('radio', { name: 'Otra' }));
    const box = screen.getByLabelText('Zona (nombre IANA)');
    await user.type(box, 'Mars/Base');
    expect(await screen.findByText(/No existe una zona con ese nombre/)).toBeInTheDocument();
    await user.clear(box);
    await user.type(box, 'America/Lima');
    expect(localStorage.getItem('rastro.time-zone')).toBe('America/Lima');
    await router.navigate({ to: '/config', search: { tab: 'audit' } });
    expect(await screen.findByTestId('audit')).toHaveTextContent('20 nov 2025, 07:00:00 GMT-5');
  });

  it('change language and theme', async () => {
    serve({});
    const { user } = open('/config?tab=preferences');
    await user.click(await screen.findByRole('radio', { name: 'Oscuro' }));
    await waitFor(() => expect(document.documentElement).toHaveAttribute('data-mantine-color-scheme', 'dark'));
    await user.click(screen.getByRole('radio', { name: 'English' }));
    expect(await screen.findByRole('heading', { level: 1, name: 'Configuration' })).toBeInTheDocument();
  });
});
