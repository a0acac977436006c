import { ActionIcon, Tooltip } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Maximize } from 'lucide-react';
import { useMemo } from 'react';
import { firing, useAlerts } from '../alerts/queries';
import { metricsQuery, openLettersQuery, overviewQuery, queuesQuery, refreshOf, topologyQuery } from '../app/figures';
import { useApi, useRole } from '../app/scope';
import { useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { useInterval, useLive } from '../live/live';
import { Topology } from '../topology/Topology';
import { Card } from '../ui/Card';
import { ErrorCard } from '../ui/ErrorCard';
import { valuesOf } from '../ui/metrics';
import { useTitle } from '../ui/useTitle';
import { Attention } from './Attention';
import { Charts } from './Charts';
import { Conservation } from './Conservation';
import { Kpis } from './Kpis';
import classes from './overview.module.css';
import { settledSeries } from './RangeCharts';
import { TopologySkeleton } from './TopologySkeleton';
import { Tops } from './Tops';

const series = [...settledSeries, 'p50', 'p95', 'p99'] as const;

/** Is it flowing, is it late, is it losing? What is not well comes first. */
export function OverviewPage() {
  const { t } = useI18n();
  useTitle(t.overview.title);
  const stale = useLive((s) => s.staleFor !== undefined);
  const ops = useRole('ops:read');
  const api = useApi();
  const [range] = useRange();
  const often = useInterval(5_000);
  const seldom = useInterval(refreshOf(range));
  const overview = useQuery({ ...overviewQuery(api, range), enabled: ops, refetchInterval: often });
  const topology = useQuery({ ...topologyQuery(api, range), enabled: ops, refetchInterval: often });
  const queues = useQuery({ ...queuesQuery(api), enabled: ops, refetchInterval: often });
  const open = useQuery({ ...openLettersQuery(api), enabled: ops, refetchInterval: often });
  const alerts = useAlerts(ops);
  const metrics = useQuery({ ...metricsQuery(api, range, series), enabled: ops, refetchInterval: seldom });
  const letters = useMemo(
    () =>
      open.data &&
      new Map([
        ...(topology.data?.nodes ?? []).map((s): [string, number] => [s.id, 0]),
        ...(open.data.items ?? []).map((g): [string, number] => [`${g.pipeline}.${g.stage}`, g.count]),
      ]),
    [open.data, topology.data],
  );
  const failed = [overview, topology].find((q) => q.isError);
  return (
    <div className={classes.page}>
      <header className={classes.heading}>
        <h1 className={classes.title}>{t.overview.title}</h1>
        <KioskButton />
      </header>
      <div className={classes.live} data-stale={stale || undefined}>
        {ops && !failed && (
          <Attention
            alerts={alerts.data?.looked_at ? firing(alerts.data) : undefined}
            paused={overview.data?.paused ?? []}
          />
        )}
        {failed && (
          <Card>
            <ErrorCard error={failed.error} onRetry={() => void failed.refetch()} retrying={failed.isFetching} />
          </Card>
        )}
        <Kpis
          overview={overview.data}
          alerts={alerts.data}
          p95={valuesOf(metrics.data, 'p95')}
          letters={valuesOf(metrics.data, 'dead_letters')}
        />
        {ops && (
          <Card titleId="topology" title={t.topology.title} className={classes.topology ?? ''}>
            {topology.data ? (
              <Topology topology={topology.data} queues={queues.data?.items ?? undefined} letters={letters} />
            ) : (
              <TopologySkeleton />
            )}
          </Card>
        )}
        <Charts metrics={metrics.data} stages={topology.data?.nodes ?? undefined} withLatency={ops} />
        <Conservation pipelines={overview.data?.balance ?? []} />
        {ops && <Tops overview={overview.data} />}
      </div>
    </div>
  );
}

/** Shows the page without what stands around it, for a screen on the wall. */
function KioskButton() {
  const { t } = useI18n();
  const navigate = useNavigate();
  return (
    <Tooltip label={t.overview.kiosk} withArrow openDelay={300}>
      <ActionIcon
        variant="default"
        size={32}
        aria-label={t.overview.kiosk}
        className={classes.kioskButton}
        onClick={() => void navigate({ to: '/', search: (prev) => ({ ...prev, kiosk: true }) })}
      >
        <Maximize size={15} aria-hidden />
      </ActionIcon>
    </Tooltip>
  );
}
