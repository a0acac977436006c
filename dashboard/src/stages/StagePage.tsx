import { Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link, useParams, useSearch } from '@tanstack/react-router';
import { Inbox } from 'lucide-react';
import { isNotFound } from '../api/client';
import type { Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useInterval, useLive } from '../live/live';
import { healthOfStage } from '../topology/health';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { HealthMark } from '../ui/HealthMark';
import { StaleNote } from '../ui/StaleNote';
import { useTitle } from '../ui/useTitle';
import { BreakerMark } from './BreakerMark';
import { Figures } from './Figures';
import { PauseBanner } from './PauseBanner';
import { PauseControl } from './PauseControl';
import { stageQuery } from './queries';
import type { StageTab } from './routes';
import { Samples } from './Samples';
import { StageConfig } from './StageConfig';
import classes from './stages.module.css';

/** One stage: what becomes of events at it, how long it takes, and how it is configured. */
export function StagePage() {
  const { t } = useI18n();
  const { id } = useParams({ from: '/stages/$id' });
  const { tab = 'figures' } = useSearch({ from: '/stages/$id' });
  useTitle(id);
  const api = useApi();
  const [range] = useRange();
  const stage = useQuery({ ...stageQuery(api, id, range), refetchInterval: useInterval(5_000) });
  if (stage.isError && !stage.data)
    return isNotFound(stage.error) ? (
      <Empty icon={<Inbox size={26} aria-hidden />} title={t.stages.notFound(id)} level={1}>
        <p>{t.stages.notFoundNext}</p>
        <Link to="/stages">{t.stages.all}</Link>
      </Empty>
    ) : (
      <ErrorCard error={stage.error} onRetry={() => void stage.refetch()} retrying={stage.isFetching} page />
    );
  return (
    <div className={classes.page}>
      <Head id={id} stage={stage.data} />
      {stage.data?.paused && <PauseBanner stage={stage.data} pause={stage.data.paused} />}
      {stage.isError && <StaleNote onRetry={() => void stage.refetch()} />}
      <Tabs id={id} active={tab} />
      {!stage.data ? (
        <Skeleton height={520} radius={10} />
      ) : tab === 'config' ? (
        <StageConfig stage={stage.data} />
      ) : tab === 'sample' ? (
        <Samples stage={stage.data} />
      ) : (
        <Figures stage={stage.data} />
      )}
    </div>
  );
}

function Head({ id, stage }: { id: string; stage: Schema<'StageDetail'> | undefined }) {
  const health = useLive((s) => (stage ? healthOfStage(stage, s.stages[id] ?? stage.now) : 'idle'));
  const [pipeline, name = id] = [id.slice(0, id.lastIndexOf('.')), id.slice(id.lastIndexOf('.') + 1)];
  return (
    <header className={classes.head}>
      <h1 className={classes.title}>
        <HealthMark health={health} size={18} />
        <span className="secondary">{pipeline}.</span>
        {name}
      </h1>
      {stage && <BreakerMark state={stage.breaker} />}
      {stage && <PauseControl stage={stage} />}
      <p className={classes.summary} lang="en">
        {stage?.summary ?? ' '}
      </p>
    </header>
  );
}

function Tabs({ id, active }: { id: string; active: StageTab }) {
  const { t } = useI18n();
  const tabs: [StageTab, string][] = [
    ['figures', t.stages.tabs.figures],
    ['sample', t.stages.tabs.sample],
    ['config', t.stages.tabs.config],
  ];
  return (
    <nav className={classes.tabs} aria-label={t.stages.views}>
      {tabs.map(([tab, label]) => (
        <Link
          key={tab}
          to="/stages/$id"
          params={{ id }}
          search={tab === 'figures' ? {} : { tab }}
          // Otherwise each would take the others' addresses for its own: they differ by their search alone.
          activeOptions={{ exact: true, includeSearch: true }}
          {...(tab === active && { 'aria-current': 'page' })}
        >
          {label}
        </Link>
      ))}
    </nav>
  );
}
