import { Button, Drawer } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { CheckCheck, Inbox, RotateCcw, Trash2, X } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { useApi, useRole } from '../app/scope';
import { isTyping } from '../frame/keys';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { StaleNote } from '../ui/StaleNote';
import { TableSkeleton } from '../ui/TableSkeleton';
import { useTitle } from '../ui/useTitle';
import { ActionDialog, type ActionRequest } from './ActionDialog';
import { AuditView } from './AuditView';
import { FacetBar } from './FacetBar';
import { bodyOf, type LettersSearch, listOf } from './filter';
import { GroupList } from './GroupList';
import { JobsView } from './JobsView';
import { LetterPanel } from './LetterPanel';
import { LettersTable } from './LettersTable';
import { QueuesTabs } from './QueuesTabs';
import { facetQuery, lettersQuery } from './queries';
import classes from './queues.module.css';

/** Events that stages rejected: why, and what to do with them. */
export function LettersPage() {
  const { t } = useI18n();
  const search = useSearch({ from: '/dead-letters' });
  useTitle(search.view === 'jobs' ? t.jobs.title : search.view === 'audit' ? t.audit.title : t.letters.title);
  return (
    <div className={classes.page}>
      <h1 className={classes.title}>{t.queues.page}</h1>
      <QueuesTabs active={search.view ?? 'letters'} />
      {search.view === 'jobs' ? (
        <JobsView job={search.job} />
      ) : search.view === 'audit' ? (
        <AuditView />
      ) : (
        <Letters search={search} />
      )}
    </div>
  );
}

/** What of a search narrows the list down. */
const narrows = ({ letter: _, view: __, job: ___, ...filter }: LettersSearch): boolean =>
  Object.keys(filter).some((k) => !['tenant', 'range'].includes(k));

function Letters({ search }: { search: LettersSearch }) {
  const { t, f } = useI18n();
  const api = useApi();
  const navigate = useNavigate();
  const writes = useRole('ops:write');
  const every = useInterval(10_000);
  const list = useInfiniteQuery({ ...lettersQuery(api, search), refetchInterval: every });
  const counts = useQuery({ ...facetQuery(api, search, 'stage'), refetchInterval: every });
  const letters = useMemo(() => list.data?.pages.flatMap((p) => p.items ?? []) ?? [], [list.data]);
  const total = matching(counts.data, search);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [everything, setEverything] = useState(false);
  const [action, setAction] = useState<ActionRequest>();
  const filterKey = JSON.stringify(bodyOf(search));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another filter is another list
  useEffect(() => {
    setMarked(new Set());
    setEverything(false);
  }, [filterKey]);

  const show = (letter: string | undefined) =>
    void navigate({
      to: '/dead-letters',
      search: (prev) => ({ ...prev, letter }),
      replace: search.letter !== undefined,
    });
  const request = (what: ActionRequest['action'], ids?: readonly string[]): ActionRequest =>
    ids
      ? { action: what, filter: { id: [...ids] }, count: ids.length, search: undefined }
      : { action: what, filter: bodyOf(search), count: total ?? 0, search };
  const chosen = (what: ActionRequest['action']) =>
    setAction(everything || marked.size === 0 ? request(what) : request(what, [...marked]));

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event) || event.key !== 'r' || !writes || marked.size === 0) return;
      setAction(request('redrive', [...marked]));
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  });

  const filtered = narrows(search);
  const empty = list.isSuccess && letters.length === 0;
  return (
    <>
      <FacetBar search={search} />
      {list.isError && list.data && <StaleNote onRetry={() => void list.refetch()} />}
      {list.isError && !list.data && (
        <ErrorCard error={list.error} onRetry={() => void list.refetch()} retrying={list.isFetching} />
      )}
      {list.isPending && <TableSkeleton rows={8} />}
      {empty && (
        <Empty icon={<Inbox size={26} aria-hidden />} title={filtered ? t.letters.noneMatch : t.letters.empty}>
          <p>{filtered ? t.letters.noneMatchNext : t.letters.emptyNext}</p>
          {filtered && (
            <Button
              variant="default"
              leftSection={<X size={15} aria-hidden />}
              onClick={() => void navigate({ to: '/dead-letters', search: {} })}
            >
              {t.letters.clear}
            </Button>
          )}
        </Empty>
      )}
      {letters.length > 0 && (
        <>
          <GroupList search={search} onAct={(what, group) => setAction(group(what))} writes={writes} />
          <section className={classes.list} aria-label={t.letters.title}>
            <div className={classes.toolbar}>
              <p className="num" aria-live="polite" data-testid="letters-chosen">
                {everything
                  ? t.letters.allChosen(total ?? 0, f.count(total ?? 0))
                  : marked.size > 0
                    ? t.letters.chosen(marked.size, f.count(marked.size))
                    : t.letters.matching(total ?? 0, total === undefined ? t.time.unknown : f.count(total))}
              </p>
              {marked.size > 0 && !everything && (total ?? 0) > marked.size && (
                <Button
                  size="compact-sm"
                  variant="subtle"
                  leftSection={<CheckCheck size={15} aria-hidden />}
                  onClick={() => setEverything(true)}
                >
                  {t.letters.chooseAll(total ?? 0, f.count(total ?? 0))}
                </Button>
              )}
              {(everything || marked.size > 0) && (
                <Button
                  size="compact-sm"
                  variant="subtle"
                  color="gray"
                  onClick={() => {
                    setMarked(new Set());
                    setEverything(false);
                  }}
                >
                  {t.letters.chooseNone}
                </Button>
              )}
              <span className={classes.actions}>
                <Button
                  size="xs"
                  leftSection={<RotateCcw size={14} aria-hidden />}
                  onClick={() => chosen('redrive')}
                  disabled={!writes}
                >
                  {t.letters.redrive}
                </Button>
                <Button
                  size="xs"
                  variant="default"
                  leftSection={<Trash2 size={14} aria-hidden />}
                  onClick={() => chosen('discard')}
                  disabled={!writes}
                >
                  {t.letters.discard}
                </Button>
              </span>
            </div>
            {!writes && <p className="secondary">{t.letters.readOnly}</p>}
            <LettersTable
              letters={letters}
              marked={everything ? new Set(letters.map((l) => l.id)) : marked}
              onMark={(next) => {
                setEverything(false);
                setMarked(next);
              }}
              shown={search.letter}
              onShow={show}
              hasMore={list.hasNextPage}
              onMore={() => void list.fetchNextPage()}
              loadingMore={list.isFetchingNextPage}
            />
          </section>
        </>
      )}
      <Drawer
        opened={search.letter !== undefined}
        onClose={() => show(undefined)}
        position="right"
        size="min(720px, 100vw)"
        title={t.letters.one}
        closeButtonProps={{ 'aria-label': t.ui.close }}
      >
        {search.letter && (
          <LetterPanel id={search.letter} writes={writes} onAct={(what, id) => setAction(request(what, [id]))} />
        )}
      </Drawer>
      {action && <ActionDialog request={action} onClose={() => setAction(undefined)} />}
    </>
  );
}

/** How many letters match, by their counts by stage: those of the chosen stages. */
function matching(
  stages: readonly { value: string; count: number }[] | undefined,
  search: LettersSearch,
): number | undefined {
  const chosen = listOf(search.stage);
  return stages?.filter((s) => chosen.length === 0 || chosen.includes(s.value)).reduce((sum, s) => sum + s.count, 0);
}
