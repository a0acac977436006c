import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ColumnDef, createColumnHelper } from '@tanstack/react-table';
import { Layers } from 'lucide-react';
import { useMemo } from 'react';
import type { Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useRange } from '../frame/range';
import type { Catalog } from '../i18n/es';
import type { Formats } from '../i18n/format';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { healthOfStage, urgency } from '../topology/health';
import { DataTable } from '../ui/DataTable';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { HealthMark } from '../ui/HealthMark';
import { LiveText } from '../ui/LiveText';
import { StaleNote } from '../ui/StaleNote';
import { TableSkeleton } from '../ui/TableSkeleton';
import { useTitle } from '../ui/useTitle';
import { BreakerMark } from './BreakerMark';
import { PausedMark } from './PausedMark';
import { stagesQuery } from './queries';
import classes from './stages.module.css';

type Stage = Schema<'Stage'>;

/** All stages of all pipelines; those that are not well first. */
export function StagesPage() {
  const { t, f } = useI18n();
  useTitle(t.stages.title);
  const api = useApi();
  const [range] = useRange();
  const stages = useQuery({ ...stagesQuery(api, range), refetchInterval: useInterval(5_000) });
  const columns = useMemo(() => columnsOf(t, f), [t, f]);
  const items = stages.data?.items ?? [];
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{t.stages.title}</h1>
      {stages.isError && stages.data && <StaleNote onRetry={() => void stages.refetch()} />}
      {stages.isPending && <TableSkeleton rows={5} />}
      {stages.isError && !stages.data && (
        <ErrorCard error={stages.error} onRetry={() => void stages.refetch()} retrying={stages.isFetching} />
      )}
      {stages.data &&
        (items.length === 0 ? (
          <Empty icon={<Layers size={26} aria-hidden />} title={t.stages.empty}>
            <p>{t.stages.emptyNext}</p>
          </Empty>
        ) : (
          <DataTable
            caption={t.stages.title}
            columns={columns}
            rows={items}
            rowId={(s) => s.id}
            sorting={[{ id: 'health', desc: false }]}
            health={(s) => healthOfStage(s)}
            testId="stages"
          />
        ))}
    </div>
  );
}

function columnsOf(t: Catalog, f: Formats): ColumnDef<Stage, unknown>[] {
  const column = createColumnHelper<Stage>();
  const number = { meta: { number: true }, sortUndefined: 'last' as const };
  return [
    column.accessor((s) => urgency(healthOfStage(s)), {
      id: 'health',
      header: t.stages.state,
      sortDescFirst: false,
      cell: ({ row }) => <HealthMark health={healthOfStage(row.original)} />,
    }),
    column.accessor('id', {
      header: t.stages.stage,
      sortDescFirst: false,
      cell: ({ row: { original: s } }) => (
        <Link to="/stages/$id" params={{ id: s.id }} className={classes.name}>
          <span className="secondary">{s.pipeline}.</span>
          <strong>{s.name}</strong>
          {s.paused && <PausedMark pause={s.paused} />}
        </Link>
      ),
    }),
    column.accessor('use', { header: t.stages.kind, sortDescFirst: false, meta: { weight: 'low' } }),
    column.accessor((s) => s.now.out_per_second, {
      id: 'rate',
      header: t.stages.rate,
      cell: ({ row: { original: s } }) => (
        <LiveText text={(live) => f.rate((live.stages[s.id] ?? s.now).out_per_second)} />
      ),
      ...number,
    }),
    column.accessor((s) => s.took?.p95_ms, {
      id: 'p95',
      header: t.stages.p95,
      cell: ({ getValue }) => f.ms(getValue()),
      ...number,
    }),
    column.accessor((s) => s.now.age_ms, {
      id: 'age',
      header: t.stages.age,
      cell: ({ getValue }) => f.ms(getValue()),
      sortUndefined: 'last',
      meta: { number: true, weight: 'middle' },
    }),
    column.accessor((s) => s.outcomes.drop ?? 0, {
      id: 'dropped',
      header: t.stages.outcomes.drop,
      cell: ({ getValue }) => f.count(getValue()),
      meta: { number: true, weight: 'middle' },
    }),
    column.accessor((s) => s.outcomes.reject ?? 0, {
      id: 'rejected',
      header: t.stages.outcomes.reject,
      cell: ({ getValue }) => f.count(getValue()),
      meta: { number: true, weight: 'middle' },
    }),
    column.accessor((s) => s.outcomes.retry ?? 0, {
      id: 'retried',
      header: t.stages.outcomes.retry,
      cell: ({ getValue }) => f.count(getValue()),
      meta: { number: true, weight: 'low' },
    }),
    column.accessor((s) => s.batch_fill, {
      id: 'fill',
      header: t.stages.fill,
      cell: ({ getValue }) => {
        const fill = getValue();
        return fill === undefined ? t.time.unknown : f.percent(fill);
      },
      sortUndefined: 'last',
      meta: { number: true, weight: 'low' },
    }),
    column.accessor((s) => s.workers * s.processes, {
      id: 'workers',
      header: t.stages.workers,
      cell: ({ getValue }) => f.count(getValue()),
      meta: { number: true, weight: 'low' },
    }),
    column.accessor('breaker', {
      header: t.stages.breaker,
      cell: ({ getValue }) => <BreakerMark state={getValue()} />,
      meta: { weight: 'middle' },
    }),
  ] as ColumnDef<Stage, unknown>[];
}
