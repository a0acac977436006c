import { Button, Skeleton, UnstyledButton } from '@mantine/core';
import { getRouteApi } from '@tanstack/react-router';
import { ArrowUp, Inbox, Link2, SearchX } from 'lucide-react';
import { useMemo, useState } from 'react';
import { ApiError } from '../api/client';
import { useI18n } from '../i18n/i18n';
import { RecentList } from '../search/RecentList';
import { ExportMenu } from '../trace/ExportMenu';
import { CopyButton } from '../ui/CopyButton';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { useTitle } from '../ui/useTitle';
import { FilterBar } from './FilterBar';
import { isFiltered, queryOf, type TracesSearch, unfiltered } from './filters';
import { IdentifierSearch } from './IdentifierSearch';
import classes from './list.module.css';
import { SavedViews } from './SavedViews';
import { TraceTable } from './TraceTable';
import { newsUpTo, type TraceList, useTraceList } from './useTraceList';

const route = getRouteApi('/traces');

/** Every trace: by identifier, or by what is known of it. */
export function TracesPage() {
  const { t } = useI18n();
  useTitle(t.finder.title);
  const search = route.useSearch();
  const navigate = route.useNavigate();
  // A span ends when the list was asked for, and stays there while its pages are read.
  const [asked, setAsked] = useState(() => Date.now());
  const text = JSON.stringify(search);
  const query = useMemo(() => queryOf(JSON.parse(text) as TracesSearch, asked), [text, asked]);
  const refresh = () => {
    setAsked(Date.now());
    window.scrollTo({ top: 0 });
  };
  const list = useTraceList(query, asked, refresh);
  const go = (next: TracesSearch) => {
    setAsked(Date.now());
    void navigate({ search: next, replace: true, resetScroll: false });
  };
  return (
    <div className={classes.page}>
      <header className={classes.head}>
        <div>
          <h1 className={classes.title}>{t.finder.title}</h1>
          <p className="secondary">{t.finder.lead}</p>
        </div>
        <div className={classes.actions}>
          <CopyButton
            withLabel
            value={() => location.href}
            label={t.trace.copyLink}
            icon={<Link2 size={14} aria-hidden />}
          />
          <ExportMenu path="/api/v1/traces" query={query} name="rastro-traces" />
        </div>
      </header>
      <section className={classes.card}>
        <IdentifierSearch
          value={search.q}
          onChange={(q) => {
            const { q: _, ...rest } = search;
            go({ ...rest, ...(q && { q }) });
          }}
          onFlight={(flight) => go({ ...unfiltered(search), flight })}
        />
        <FilterBar search={search} onChange={go} />
        <SavedViews search={search} />
        <RecentList compact />
      </section>
      <section className={classes.results} aria-busy={list.loading}>
        <Status list={list} />
        <Results list={list} search={search} onClear={() => go(unfiltered(search))} />
      </section>
    </div>
  );
}

/** How many there are, and what has come since. */
function Status({ list }: { list: TraceList }) {
  const { t, f } = useI18n();
  const { count, news } = list;
  return (
    <div className={classes.statusLine}>
      <p className="num" role="status">
        {count
          ? count.exact
            ? t.finder.count(count.value, f.count(count.value))
            : t.finder.countOver(f.count(count.value))
          : ' '}
      </p>
      {news > 0 && (
        <UnstyledButton className={`${classes.news} num`} onClick={list.refresh} data-testid="news">
          <ArrowUp size={14} aria-hidden />
          {news >= newsUpTo ? t.finder.newsOver(f.count(news)) : t.finder.news(news, f.count(news))}
        </UnstyledButton>
      )}
    </div>
  );
}

const skeletons = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

function Results({ list, search, onClear }: { list: TraceList; search: TracesSearch; onClear: () => void }) {
  const { t, f } = useI18n();
  if (list.error && list.items.length === 0) {
    const refused = list.error instanceof ApiError && list.error.status === 422;
    if (!refused) return <ErrorCard error={list.error} onRetry={list.refresh} retrying={list.loading} />;
    return (
      <Empty icon={<SearchX size={28} aria-hidden />} title={t.finder.refused}>
        <p lang="en">{(list.error as ApiError).message}</p>
        <Button size="xs" variant="default" onClick={onClear}>
          {t.finder.clear}
        </Button>
      </Empty>
    );
  }
  if (list.loading && list.items.length === 0) {
    return (
      <div className={classes.waiting} role="status" aria-label={t.finder.loading}>
        {skeletons.map((row) => (
          <Skeleton key={row} height={22} />
        ))}
      </div>
    );
  }
  if (list.items.length === 0) {
    return isFiltered(search) ? (
      <Empty icon={<SearchX size={28} aria-hidden />} title={t.finder.none}>
        <p>{t.finder.noneNext}</p>
        <Button size="xs" variant="default" onClick={onClear}>
          {t.finder.clear}
        </Button>
      </Empty>
    ) : (
      <Empty icon={<Inbox size={28} aria-hidden />} title={t.finder.empty}>
        <p>{t.finder.emptyNext}</p>
      </Empty>
    );
  }
  return (
    <>
      <TraceTable items={list.items} changed={list.changed} />
      <div className={classes.foot}>
        {list.hasMore ? (
          <Button variant="default" size="sm" loading={list.loadingMore} onClick={list.more}>
            {t.finder.loadMore}
          </Button>
        ) : (
          <p className="secondary num">{t.finder.end(t.finder.count(list.items.length, f.count(list.items.length)))}</p>
        )}
      </div>
    </>
  );
}
