import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type ColumnDef, createColumnHelper } from '@tanstack/react-table';
import { ArrowDown, ArrowUp, Inbox, Minus } from 'lucide-react';
import { useMemo } from 'react';
import type { Schema } from '../api/typed';
import { queuesQuery } from '../app/figures';
import { useApi } from '../app/scope';
import type { Catalog } from '../i18n/es';
import type { Formats } from '../i18n/format';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { PausedMark } from '../stages/PausedMark';
import { healthOfQueue, urgency } from '../topology/health';
import { DataTable } from '../ui/DataTable';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { HealthMark } from '../ui/HealthMark';
import { StaleNote } from '../ui/StaleNote';
import { TableSkeleton } from '../ui/TableSkeleton';
import { useTitle } from '../ui/useTitle';
import { QueuesTabs } from './QueuesTabs';
import classes from './queues.module.css';

type Queue = Schema<'Queue'>;

/** What waits between stages, how long, and when it will be through. */
export function QueuesPage() {
  const { t, f } = useI18n();
  useTitle(t.queues.title);
  const api = useApi();
  const queues = useQuery({ ...queuesQuery(api), refetchInterval: useInterval(5_000) });
  const columns = useMemo(() => columnsOf(t, f), [t, f]);
  const items = queues.data?.items ?? [];
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{t.queues.page}</h1>
      <QueuesTabs active="queues" />
      <p className="secondary">{t.queues.explain}</p>
      {queues.isError && queues.data && <StaleNote onRetry={() => void queues.refetch()} />}
      {queues.isPending && <TableSkeleton rows={6} />}
      {queues.isError && !queues.data && (
        <ErrorCard error={queues.error} onRetry={() => void queues.refetch()} retrying={queues.isFetching} />
      )}
      {queues.data &&
        (items.length === 0 ? (
          <Empty icon={<Inbox size={26} aria-hidden />} title={t.queues.empty}>
            <p>{t.queues.emptyNext}</p>
          </Empty>
        ) : (
          <DataTable
            caption={t.queues.page}
            columns={columns}
            rows={items}
            rowId={(q) => `${q.topic} ${q.reader}`}
            sorting={[{ id: 'health', desc: false }]}
            health={healthOfQueue}
            testId="queues"
          />
        ))}
    </div>
  );
}

/** How long it will take until a queue is empty; never while it grows. */
function drain(queue: Queue, t: Catalog, f: Formats): string {
  if (queue.depth === 0) return t.queues.drained;
  if (queue.paused) return t.health.paused;
  if (queue.drain_ms !== undefined) return f.ms(queue.drain_ms);
  return queue.trend === 'growing' ? t.queues.never : t.time.unknown;
}

function columnsOf(t: Catalog, f: Formats): ColumnDef<Queue, unknown>[] {
  const column = createColumnHelper<Queue>();
  const approximate = (queue: Queue, n: number | undefined) =>
    n === undefined ? t.time.unknown : `${queue.approximate ? '≈' : ''}${f.count(n)}`;
  const number = { meta: { number: true }, sortUndefined: 'last' as const };
  const columns = [
    column.accessor((q) => urgency(healthOfQueue(q)), {
      id: 'health',
      header: t.queues.state,
      sortDescFirst: false,
      cell: ({ row }) => <HealthMark health={healthOfQueue(row.original)} />,
    }),
    column.accessor('topic', {
      header: t.queues.queue,
      sortDescFirst: false,
      cell: ({ row: { original: q } }) => (
        <span className={classes.queueName}>
          <strong>{q.topic}</strong>
          {q.stage ? (
            <Link to="/stages/$id" params={{ id: `${q.reader}.${q.stage}` }}>
              {`${q.reader}.${q.stage}`}
            </Link>
          ) : (
            <span className="secondary">{t.queues.internal}</span>
          )}
          {q.paused && <PausedMark pause={q.paused} />}
        </span>
      ),
    }),
    column.accessor((q) => q.ready, {
      id: 'ready',
      header: t.queues.ready,
      cell: ({ row }) => approximate(row.original, row.original.ready),
      ...number,
    }),
    column.accessor((q) => q.in_flight, {
      id: 'inFlight',
      header: t.queues.inFlight,
      cell: ({ row }) => approximate(row.original, row.original.in_flight),
      ...number,
    }),
    column.accessor((q) => q.delayed, {
      id: 'delayed',
      header: t.queues.delayed,
      cell: ({ row }) => approximate(row.original, row.original.delayed),
      sortUndefined: 'last',
      meta: { number: true, weight: 'low' },
    }),
    column.accessor((q) => q.head_ms ?? (q.depth ? q.oldest_ms : undefined), {
      id: 'age',
      header: t.queues.age,
      cell: ({ getValue }) => f.ms(getValue()),
      ...number,
    }),
    column.accessor('in_per_second', {
      header: t.queues.in,
      cell: ({ getValue }) => f.rate(getValue()),
      meta: { number: true, weight: 'middle' },
    }),
    column.accessor('out_per_second', {
      header: t.queues.out,
      cell: ({ getValue }) => f.rate(getValue()),
      meta: { number: true, weight: 'middle' },
    }),
    column.accessor('trend', {
      header: t.queues.trend,
      cell: ({ getValue }) => <Trend trend={getValue()} />,
      meta: { weight: 'middle' },
    }),
    column.accessor((q) => q.drain_ms ?? (q.trend === 'growing' ? Number.MAX_VALUE : undefined), {
      id: 'drain',
      header: t.queues.drain,
      cell: ({ row }) => drain(row.original, t, f),
      ...number,
    }),
  ];
  return columns as ColumnDef<Queue, unknown>[];
}

function Trend({ trend }: { trend: Queue['trend'] }) {
  const { t } = useI18n();
  const Icon = { growing: ArrowUp, draining: ArrowDown, steady: Minus, unknown: Minus }[trend];
  return (
    <span className={classes.trend} data-trend={trend}>
      <Icon size={13} aria-hidden />
      {t.queues.trends[trend]}
    </span>
  );
}
