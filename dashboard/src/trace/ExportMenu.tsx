import { Button, Menu } from '@mantine/core';
import { Braces, Download, FileSpreadsheet, FileText, Printer } from 'lucide-react';
import { useRef, useState } from 'react';
import { type Export, type ExportType, save, saveExport } from '../api/download';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import classes from './export.module.css';

type ExportMenuProps<Path extends '/api/v1/traces' | '/api/v1/events'> = Pick<
  Export<Path>,
  'path' | 'query' | 'name'
> & {
  /** What is offered as one JSON document beside the rows. */
  json?: string;
  print?: boolean;
};

type State = { is: 'idle' } | { is: 'busy'; bytes: number } | { is: 'failed' };

/** Saves what is shown as a file, all pages of it, and says how far it is. */
export function ExportMenu<Path extends '/api/v1/traces' | '/api/v1/events'>({
  path,
  query,
  name,
  json,
  print = false,
}: ExportMenuProps<Path>) {
  const api = useApi();
  const { t, f } = useI18n();
  const [state, setState] = useState<State>({ is: 'idle' });
  const abort = useRef<AbortController>(undefined);

  const run = async (type: ExportType) => {
    abort.current = new AbortController();
    const { signal } = abort.current;
    setState({ is: 'busy', bytes: 0 });
    try {
      await saveExport({
        api,
        path,
        query,
        type,
        name,
        signal,
        onProgress: (bytes) => setState({ is: 'busy', bytes }),
      });
      setState({ is: 'idle' });
    } catch {
      setState(signal.aborted ? { is: 'idle' } : { is: 'failed' });
    }
  };

  if (state.is === 'busy') {
    return (
      <Button size="xs" variant="default" onClick={() => abort.current?.abort()}>
        <span className="num">{t.journey.export.busy(f.decimal(state.bytes / 1_000_000))}</span>
      </Button>
    );
  }
  return (
    <>
      {state.is === 'failed' && (
        <span role="alert" className={classes.failed}>
          {t.journey.export.failed}
        </span>
      )}
      <Menu position="bottom-end" shadow="md" width={230}>
        <Menu.Target>
          <Button size="xs" variant="default" leftSection={<Download size={14} aria-hidden />}>
            {t.journey.export.title}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {json !== undefined && (
            <Menu.Item
              leftSection={<Braces size={15} aria-hidden />}
              onClick={() => save(new Blob([json], { type: 'application/json' }), `${name}.json`)}
            >
              {t.journey.export.json}
            </Menu.Item>
          )}
          <Menu.Item leftSection={<FileText size={15} aria-hidden />} onClick={() => void run('ndjson')}>
            {t.journey.export.ndjson}
          </Menu.Item>
          <Menu.Item leftSection={<FileSpreadsheet size={15} aria-hidden />} onClick={() => void run('csv')}>
            {t.journey.export.csv}
          </Menu.Item>
          {print && (
            <>
              <Menu.Divider />
              <Menu.Item leftSection={<Printer size={15} aria-hidden />} onClick={() => window.print()}>
                {t.journey.export.print}
              </Menu.Item>
            </>
          )}
        </Menu.Dropdown>
      </Menu>
    </>
  );
}
