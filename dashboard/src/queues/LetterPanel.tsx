import { Button, SegmentedControl, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Download, RotateCcw, Route as RouteIcon, Trash2 } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { prettyTokens } from '../api/lossless';
import type { Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { JsonView } from '../trace/JsonView';
import { CopyButton } from '../ui/CopyButton';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark } from '../ui/Mark';
import { asText, fromBase64, hexDump } from './bytes';
import { toneOf } from './LettersTable';
import { letterQuery } from './queries';
import classes from './queues.module.css';

interface LetterPanelProps {
  id: string;
  writes: boolean;
  onAct: (what: 'redrive' | 'discard', id: string) => void;
}

/** One dead letter: why it is one, the bytes that came, and all that was done with it. */
export function LetterPanel({ id, writes, onAct }: LetterPanelProps) {
  const { t, f } = useI18n();
  const api = useApi();
  const letter = useQuery({ ...letterQuery(api, id), refetchInterval: useInterval(5_000) });
  if (letter.isError && !letter.data)
    return <ErrorCard error={letter.error} onRetry={() => void letter.refetch()} retrying={letter.isFetching} />;
  const l = letter.data;
  if (!l) return <Skeleton height={420} radius={10} />;
  return (
    <article className={classes.letter} data-testid="letter">
      <header className={classes.letterHead}>
        <h2>
          <code className="mono">{l.reason}</code>
        </h2>
        <Mark tone={toneOf[l.state]}>{t.letters.states[l.state]}</Mark>
      </header>
      <p className={classes.letterWhy} lang="en">
        {l.message}
      </p>
      <p className="secondary">{t.letters.statesExplained[l.state]}</p>
      <dl className={classes.facts}>
        {l.field && (
          <Fact label={t.letters.field}>
            <code className="mono">{l.field}</code>
          </Fact>
        )}
        <Fact label={t.letters.facets.stage}>
          <Link to="/stages/$id" params={{ id: `${l.pipeline}.${l.stage}` }}>
            {l.pipeline}.{l.stage}
          </Link>
        </Fact>
        <Fact label={t.letters.facets.source}>{l.source || t.time.unknown}</Fact>
        <Fact label={t.letters.facets.eventType}>
          <code className="mono">{l.event_type || t.time.unknown}</code>
        </Fact>
        <Fact label={t.letters.rejected}>
          <time dateTime={l.rejected_at}>{f.here(l.rejected_at)}</time>
        </Fact>
        <Fact label={t.letters.attempts}>
          <span className="num">{f.count(l.attempts)}</span>
        </Fact>
        <Fact label={t.letters.redrives}>
          <span className="num">{f.count(l.redrives)}</span>
        </Fact>
        <Fact label={t.letters.uid}>
          <span className="mono">{l.uid}</span>
          <CopyButton value={l.uid} label={`${t.trace.copyId}: ${l.uid}`} />
        </Fact>
        {l.trace_id && (
          <Fact label={t.letters.traceId}>
            <span className="mono">{l.trace_id}</span>
            <CopyButton value={l.trace_id} label={`${t.trace.copyId}: ${l.trace_id}`} />
          </Fact>
        )}
      </dl>
      <div className={classes.letterActions}>
        <Button
          size="xs"
          leftSection={<RotateCcw size={14} aria-hidden />}
          disabled={!writes}
          onClick={() => onAct('redrive', l.id)}
        >
          {t.letters.redrive}
        </Button>
        <Button
          size="xs"
          variant="default"
          leftSection={<Trash2 size={14} aria-hidden />}
          disabled={!writes || l.state !== 'open'}
          onClick={() => onAct('discard', l.id)}
        >
          {t.letters.discard}
        </Button>
        {l.correlation_id && (
          <Button
            size="xs"
            variant="default"
            leftSection={<RouteIcon size={14} aria-hidden />}
            renderRoot={(props) => <Link to="/traces/$id" params={{ id: l.correlation_id }} {...props} />}
          >
            {t.letters.openTrace}
          </Button>
        )}
      </div>
      <Original letter={l} />
      <History entries={l.history ?? []} />
    </article>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

type Layout = 'pretty' | 'raw' | 'hex';

/** The bytes that came, as they came: numbers are not read, so none is rounded. */
function Original({ letter }: { letter: Schema<'LetterDetail'> }) {
  const { t, f } = useI18n();
  const bytes = useMemo(() => fromBase64(letter.original), [letter.original]);
  const text = useMemo(() => asText(bytes), [bytes]);
  const isJson = useMemo(() => text !== undefined && isWellFormed(text), [text]);
  const [wanted, setLayout] = useState<Layout>('pretty');
  const layout = text === undefined ? 'hex' : wanted === 'pretty' && !isJson ? 'raw' : wanted;
  const layouts: Layout[] = [
    ...(isJson ? (['pretty'] as const) : []),
    ...(text === undefined ? [] : (['raw'] as const)),
    'hex',
  ];
  const shown = layout === 'hex' ? hexDump(bytes) : (text ?? '');
  const download = () => {
    const url = URL.createObjectURL(new Blob([bytes]));
    const link = document.createElement('a');
    link.href = url;
    link.download = `${letter.uid}${isJson ? '.json' : '.bin'}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1_000);
  };
  return (
    <section aria-label={t.letters.original}>
      <div className={classes.originalHead}>
        <h3>{t.letters.original}</h3>
        <SegmentedControl
          size="xs"
          aria-label={t.letters.layout}
          value={layout}
          onChange={(value) => setLayout(value as Layout)}
          data={layouts.map((value) => ({ value, label: t.letters.layouts[value] }))}
        />
        <span className={classes.actions}>
          <CopyButton value={shown} label={t.letters.copy} />
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<Download size={14} aria-hidden />}
            onClick={download}
          >
            {t.letters.download}
          </Button>
        </span>
      </div>
      <JsonView text={shown} plain={layout !== 'pretty'} label={t.letters.original} />
      <p className="secondary num">
        {t.trace.raw.bytes(f.count(bytes.length))} · {t.trace.raw.exact}
      </p>
    </section>
  );
}

function isWellFormed(text: string): boolean {
  try {
    prettyTokens(text);
    return true;
  } catch {
    return false;
  }
}

function History({ entries }: { entries: readonly Schema<'LetterEntry'>[] }) {
  const { t, f } = useI18n();
  return (
    <section aria-label={t.letters.history}>
      <h3>{t.letters.history}</h3>
      <ol className={classes.history}>
        {entries.map((entry) => (
          <li key={`${entry.at} ${entry.what}`} data-what={entry.what}>
            <p>
              <strong>{t.letters.happened[entry.what]}</strong>
              {entry.who && <span> {t.letters.by(entry.who)}</span>}
              {entry.reason && (
                <>
                  {' '}
                  <code className="mono">{entry.reason}</code>
                </>
              )}
            </p>
            {entry.message && (
              <p lang="en" className="secondary">
                {entry.message}
              </p>
            )}
            <p className="secondary num">
              <time dateTime={entry.at}>{f.here(entry.at)}</time>
              {entry.job_id && (
                <>
                  {' · '}
                  <Link to="/dead-letters" search={{ view: 'jobs', job: entry.job_id }}>
                    {t.jobs.one}
                  </Link>
                </>
              )}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
