import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { ScrollText } from 'lucide-react';
import { useApi } from '../app/scope';
import { lookup, useI18n } from '../i18n/i18n';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { TableSkeleton } from '../ui/TableSkeleton';
import { auditQuery } from './queries';
import classes from './queues.module.css';

/** Who did what by hand, to how many, and why. It cannot be changed. */
export function AuditView() {
  const { t, f } = useI18n();
  const api = useApi();
  const audit = useInfiniteQuery(auditQuery(api));
  if (audit.isPending) return <TableSkeleton rows={6} />;
  if (!audit.data)
    return <ErrorCard error={audit.error} onRetry={() => void audit.refetch()} retrying={audit.isFetching} />;
  const entries = audit.data.pages.flatMap((p) => p.items ?? []);
  if (entries.length === 0)
    return (
      <Empty icon={<ScrollText size={26} aria-hidden />} title={t.audit.empty}>
        <p>{t.audit.emptyNext}</p>
      </Empty>
    );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section className={classes.auditScroll} tabIndex={0} aria-label={t.audit.title}>
      <table className={classes.audit} data-testid="audit">
        <thead>
          <tr>
            <th scope="col">{t.audit.when}</th>
            <th scope="col">{t.audit.who}</th>
            <th scope="col">{t.audit.what}</th>
            <th scope="col" className={classes.number}>
              {t.audit.count}
            </th>
            <th scope="col">{t.audit.to}</th>
            <th scope="col">{t.audit.why}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((e) => (
            <tr key={e.id}>
              <td className="num">{f.here(e.at)}</td>
              <td title={`${e.subject} · ${e.client ?? ''}`}>{e.name || e.subject}</td>
              <td>
                {lookup(t.audit.actions, e.action) ?? <code className="mono">{e.action}</code>}
                {e.job_id && (
                  <>
                    {' '}
                    <Link to="/dead-letters" search={{ view: 'jobs', job: e.job_id }}>
                      {t.jobs.one}
                    </Link>
                  </>
                )}
              </td>
              <td className={`${classes.number} num`}>{f.count(e.count)}</td>
              <td>
                <code className={`${classes.auditFilter} mono`}>{JSON.stringify(e.filter)}</code>
              </td>
              <td>{e.reason || t.time.unknown}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {audit.hasNextPage && (
        <Button
          variant="default"
          size="xs"
          onClick={() => void audit.fetchNextPage()}
          loading={audit.isFetchingNextPage}
          className={classes.moreLetters}
        >
          {t.ui.more}
        </Button>
      )}
    </section>
  );
}
