import { Button, Skeleton } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { ClipboardList } from 'lucide-react';
import { answer, type Schema } from '../api/typed';
import { allTenantsRole, useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Card } from '../ui/Card';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import classes from './config.module.css';

type AuditEntry = Schema<'AuditEntry'>;

interface AuditLogProps {
  /** What belongs to no tenant instead. */
  unowned: boolean;
  onUnowned: (unowned: boolean) => void;
}

/** Who did what by hand, to what, and why. */
export function AuditLog({ unowned, onUnowned }: AuditLogProps) {
  const { t, f } = useI18n();
  const api = useApi();
  const all = useRole(allTenantsRole);
  const words = t.config.audit;
  const { data, error, refetch, isFetching, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ['audit', api.tenant, unowned],
    initialPageParam: undefined as number | undefined,
    queryFn: async ({ pageParam, signal }) =>
      answer(
        // What belongs to no tenant is asked for without naming one.
        (unowned ? api.anyTenant : api).GET('/api/v1/audit', {
          params: { query: { limit: 50, ...(pageParam && { cursor: pageParam }), ...(unowned && { unowned: true }) } },
          signal,
        }),
      ),
    getNextPageParam: (last) => last.next_cursor,
    refetchInterval: useInterval(15_000),
  });
  const entries = data?.pages.flatMap((page) => page.items ?? []);
  return (
    <Card
      titleId="audit"
      title={words.title}
      note={words.note}
      className={classes.auditCard}
      actions={
        all && (
          <label className={classes.check}>
            <input type="checkbox" checked={unowned} onChange={(change) => onUnowned(change.currentTarget.checked)} />
            {words.unowned}
          </label>
        )
      }
    >
      {entries === undefined ? (
        error ? (
          <ErrorCard error={error} onRetry={() => void refetch()} retrying={isFetching} />
        ) : (
          <Skeleton height={320} />
        )
      ) : entries.length === 0 ? (
        <Empty icon={<ClipboardList size={28} aria-hidden />} title={words.none}>
          <p>{words.noneNext}</p>
        </Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
        <section className={classes.scroll} tabIndex={0} aria-labelledby="audit">
          <table className={classes.audit} data-testid="audit">
            <thead>
              <tr>
                {(['at', 'who', 'action', 'filter', 'count', 'reason'] as const).map((column) => (
                  <th key={column} scope="col" data-numeric={column === 'count' || undefined}>
                    {words.column[column]}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <tr key={entry.id}>
                  <td className="num">
                    <time dateTime={entry.at}>{f.here(entry.at)}</time>
                  </td>
                  <td>
                    {entry.name || entry.subject}
                    {entry.client && <span className={classes.sub}>{words.via(entry.client)}</span>}
                  </td>
                  <td>
                    <code className="mono">{entry.action}</code>
                    {entry.job_id && (
                      <span className={classes.sub} title={entry.job_id}>
                        {words.job} <span className="mono">{entry.job_id.slice(-12)}</span>
                      </span>
                    )}
                  </td>
                  <td>
                    <FilterText entry={entry} />
                  </td>
                  <td className="num" data-numeric>
                    {f.count(entry.count)}
                  </td>
                  <td className={classes.reason}>
                    {entry.reason || <span className="secondary">{t.time.unknown}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {hasNextPage && (
        <div className={classes.more}>
          <Button variant="default" size="sm" loading={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            {words.more}
          </Button>
        </div>
      )}
    </Card>
  );
}

/** What was filtered by, as a list of names and values. */
function FilterText({ entry }: { entry: AuditEntry }) {
  const { t } = useI18n();
  const filter = entry.filter;
  if (typeof filter !== 'object' || filter === null || Object.keys(filter).length === 0) {
    return <span className="secondary">{t.config.audit.all}</span>;
  }
  return (
    <ul className={classes.filter}>
      {Object.entries(filter).map(([name, value]) => (
        <li key={name}>
          <span className="secondary">{name}</span>{' '}
          <code className="mono">
            {Array.isArray(value)
              ? value.join(', ')
              : typeof value === 'object'
                ? JSON.stringify(value)
                : String(value)}
          </code>
        </li>
      ))}
    </ul>
  );
}
