import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Microscope } from 'lucide-react';
import { useState } from 'react';
import { type Api, answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { Mark, type Tone } from '../ui/Mark';
import { StaleNote } from '../ui/StaleNote';
import { changedLines } from './changes';
import classes from './stages.module.css';

type Sample = Schema<'StageSample'>;

/** Samples kept, the latest. */
const kept = 200;

const tones: Readonly<Record<Sample['outcome'], Tone>> = { pass: 'ok', drop: 'idle', reject: 'bad', retry: 'warn' };

const samplesKey = (api: Api, id: string) => [api.tenant, 'stage', id, 'samples'] as const;

/** What the stage does to events, as it does it. They are taken only while somebody looks, and what is personal is not in them. */
export function Samples({ stage }: { stage: Schema<'StageDetail'> }) {
  const { t, f } = useI18n();
  const api = useApi();
  const queryClient = useQueryClient();
  const [open, setOpen] = useState<number>();
  const samples = useQuery({
    queryKey: samplesKey(api, stage.id),
    queryFn: async ({ signal }) => {
      // What is shown stays: only what is new is asked for.
      const known = queryClient.getQueryData<Sample[]>(samplesKey(api, stage.id)) ?? [];
      const after = known[0]?.id ?? 0;
      const { items } = await answer(
        api.GET('/api/v1/stages/{id}/samples', {
          params: { path: { id: stage.id }, query: { after, limit: kept } },
          signal,
        }),
      );
      return [...(items ?? []).toReversed(), ...known].slice(0, kept);
    },
    refetchInterval: useInterval(2_000),
    staleTime: 0,
  });
  const items = samples.data ?? [];
  if (samples.isError && items.length === 0)
    return <ErrorCard error={samples.error} onRetry={() => void samples.refetch()} retrying={samples.isFetching} />;
  if (items.length === 0)
    return (
      <Empty icon={<Microscope size={26} aria-hidden />} title={t.stages.sample.empty}>
        <p>{t.stages.sample.emptyNext}</p>
      </Empty>
    );
  const chosen = items.find((s) => s.id === open) ?? items[0];
  return (
    <>
      {samples.isError && <StaleNote onRetry={() => void samples.refetch()} />}
      <p className="secondary">{t.stages.sample.explain}</p>
      <div className={classes.samples} data-testid="samples">
        <ol className={classes.sampleList} aria-label={t.stages.tabs.sample}>
          {items.map((s) => (
            <li key={s.id}>
              <button type="button" aria-pressed={s.id === chosen?.id} onClick={() => setOpen(s.id)}>
                <span className="num">{f.clock(Date.parse(s.at))}</span>
                <Mark tone={tones[s.outcome]}>{t.stages.sample.outcomes[s.outcome]}</Mark>
                <span className={`${classes.sampleType} mono`}>{s.event_type}</span>
                <span className="num secondary">{f.ms(s.took_us / 1000)}</span>
              </button>
            </li>
          ))}
        </ol>
        {chosen && <OneSample sample={chosen} />}
      </div>
    </>
  );
}

function OneSample({ sample }: { sample: Sample }) {
  const { t, f } = useI18n();
  const { before, after } = changedLines(sample.before, sample.after);
  return (
    <article className={classes.sample} aria-label={t.stages.sample.one}>
      <header>
        <code className="mono">{sample.uid}</code>
        {sample.attempt > 1 && <span className="secondary">{t.stages.sample.attempt(f.count(sample.attempt))}</span>}
        {sample.correlation_id && (
          <Link to="/traces/$id" params={{ id: sample.correlation_id }}>
            {t.letters.openTrace}
          </Link>
        )}
      </header>
      {sample.reason && (
        <p lang="en" className={classes.sampleReason}>
          <code className="mono">{sample.reason}</code> {sample.message}
        </p>
      )}
      <div className={classes.sampleSides}>
        <Side title={t.stages.sample.before} lines={before} />
        <Side title={t.stages.sample.after} lines={after} empty={t.stages.sample.nothing} />
      </div>
    </article>
  );
}

function Side({
  title,
  lines,
  empty,
}: {
  title: string;
  lines: readonly { text: string; changed: boolean }[];
  empty?: string;
}) {
  return (
    <div>
      <h3>{title}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard */}
      <section className={classes.yaml} tabIndex={0} aria-label={title}>
        <pre className="mono">
          {lines.length === 0
            ? empty
            : lines.map((line, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the lines of one text never move
                <span key={i} data-changed={line.changed || undefined}>{`${line.text}\n`}</span>
              ))}
        </pre>
      </section>
    </div>
  );
}
