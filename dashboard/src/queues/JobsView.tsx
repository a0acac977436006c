import { Button, Progress } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { CircleStop, ListChecks, Undo2 } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { answer, type Schema } from '../api/typed';
import { useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval, useLive } from '../live/live';
import { Empty } from '../ui/Empty';
import { ErrorCard, explain } from '../ui/ErrorCard';
import { Mark } from '../ui/Mark';
import { TableSkeleton } from '../ui/TableSkeleton';
import { useNow } from '../ui/useNow';
import { ActionDialog, type ActionRequest } from './ActionDialog';
import { searchOf } from './filter';
import { jobQuery, jobsQuery, lettersKey } from './queries';
import classes from './queues.module.css';

type Job = Schema<'Job'>;

/** The jobs that redrive or discard, the latest first; and one of them whole. */
export function JobsView({ job }: { job: string | undefined }) {
  const { t } = useI18n();
  const api = useApi();
  const jobs = useQuery({ ...jobsQuery(api), refetchInterval: useInterval(5_000) });
  const told = useLive((s) => s.jobs);
  if (jobs.isPending) return <TableSkeleton rows={4} />;
  if (!jobs.data)
    return <ErrorCard error={jobs.error} onRetry={() => void jobs.refetch()} retrying={jobs.isFetching} />;
  if (jobs.data.length === 0)
    return (
      <Empty icon={<ListChecks size={26} aria-hidden />} title={t.jobs.empty}>
        <p>{t.jobs.emptyNext}</p>
      </Empty>
    );
  const open = job ?? jobs.data.find((j) => j.state === 'running')?.id;
  return (
    <ol className={classes.jobs}>
      {jobs.data.map((j) => (
        <li key={j.id}>
          <JobCard job={{ ...j, ...told[j.id], settled: settledOf({ ...j, ...told[j.id] }) }} whole={j.id === open} />
        </li>
      ))}
    </ol>
  );
}

const settledOf = (j: Job): number => j.redriven + j.discarded + j.skipped + j.failed;

function JobCard({ job: brief, whole }: { job: Job; whole: boolean }) {
  const { t, f } = useI18n();
  const api = useApi();
  const writes = useRole('ops:write');
  const queryClient = useQueryClient();
  const now = useNow(10_000);
  const running = brief.state === 'running';
  const every = useInterval(1_000);
  const detail = useQuery({
    ...jobQuery(api, brief.id),
    enabled: whole,
    refetchInterval: (query) => (query.state.data?.state === 'running' || underWay(query.state.data) ? every : false),
  });
  const job = detail.data ?? brief;
  const [undo, setUndo] = useState<ActionRequest>();
  const cancel = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/dead-letters/jobs/{id}/cancel', { params: { path: { id: brief.id } } })),
    onSettled: () => queryClient.invalidateQueries({ queryKey: lettersKey(api) }),
  });
  const ended = useRef(running);
  useEffect(() => {
    // What a job has done shows in the lists once it has ended.
    if (ended.current && !running) void queryClient.invalidateQueries({ queryKey: lettersKey(api) });
    ended.current = running;
  }, [running, queryClient, api]);

  const settled = settledOf(job);
  const share = job.total > 0 ? settled / job.total : 1;
  const rest = job.per_second > 0 ? ((job.total - settled) / job.per_second) * 1000 : undefined;
  const tone = job.state === 'running' ? 'move' : job.state === 'cancelled' ? 'warn' : job.failed > 0 ? 'warn' : 'ok';
  return (
    <article
      className={classes.job}
      data-testid={`job-${job.state}`}
      aria-label={t.jobs.label(t.jobs.actions[job.action], f.count(job.total))}
    >
      <header>
        <h2>
          {t.jobs.actions[job.action]} <span className="num">{f.count(job.total)}</span>
        </h2>
        <Mark tone={tone}>{t.jobs.states[job.state]}</Mark>
        <span className={`${classes.jobWhen} secondary`}>
          {t.jobs.by(job.who)} ·{' '}
          <time dateTime={job.created_at} title={f.here(job.created_at)}>
            {f.ago(now - Date.parse(job.created_at))}
          </time>
        </span>
        {running && writes && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<CircleStop size={14} aria-hidden />}
            loading={cancel.isPending}
            disabled={job.cancelled_at !== undefined}
            onClick={() => cancel.mutate()}
          >
            {t.jobs.cancel}
          </Button>
        )}
        {!running && job.action === 'discard' && job.discarded > 0 && writes && (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<Undo2 size={14} aria-hidden />}
            onClick={() => {
              const filter = { ...(job.filter as Schema<'LetterFilter'>), state: ['discarded'] };
              setUndo({
                action: 'redrive',
                filter,
                count: job.discarded,
                search: filter.id ? undefined : searchOf(filter),
              });
            }}
          >
            {t.jobs.undo}
          </Button>
        )}
      </header>
      {job.reason && <p className={classes.jobReason}>«{job.reason}»</p>}
      <Progress.Root size={10} aria-hidden>
        <Progress.Section value={share * 100} color={job.state === 'cancelled' ? 'gray' : 'brand'} animated={running} />
      </Progress.Root>
      <p className="num secondary" role={running ? 'status' : undefined} data-testid="job-progress">
        {t.jobs.progress(f.count(settled), f.count(job.total), f.percent(share))}
        {running && <> · {t.jobs.pace(f.rate(job.per_second))}</>}
        {running && rest !== undefined && <> · {t.jobs.rest(f.duration(rest))}</>}
        {job.skipped > 0 && <> · {t.jobs.skipped(f.count(job.skipped))}</>}
        {job.failed > 0 && <> · {t.jobs.failed(f.count(job.failed))}</>}
      </p>
      {job.trouble && (
        <p className={classes.trouble} lang="en" role="alert">
          {job.trouble}
        </p>
      )}
      {cancel.isError && (
        <p className={classes.trouble} role="alert">
          {explain(cancel.error, t)}
        </p>
      )}
      {whole && detail.data && <Outcomes job={detail.data} />}
      {!whole && (
        <Link to="/dead-letters" search={{ view: 'jobs', job: job.id }}>
          {t.jobs.details}
        </Link>
      )}
      {undo && <ActionDialog request={undo} onClose={() => setUndo(undefined)} />}
    </article>
  );
}

/** Whether events that were redriven are still on their way. */
const underWay = (job: Job | undefined): boolean => (job?.outcomes?.under_way ?? 0) > 0;

const kinds = ['stored', 'passed', 'dropped', 'rejected_again', 'under_way'] as const;

/** What became of the events, as far as it is known. */
function Outcomes({ job }: { job: Job }) {
  const { t, f } = useI18n();
  const { outcomes } = job;
  return (
    <>
      {outcomes && (
        <dl className={classes.outcomes} data-testid="job-outcomes">
          {kinds.map((kind) => (
            <div key={kind} data-kind={kind} data-some={outcomes[kind] > 0 || undefined}>
              <dt>{t.jobs.outcomes[kind]}</dt>
              <dd className="num">{f.count(outcomes[kind])}</dd>
            </div>
          ))}
        </dl>
      )}
      {(job.notes ?? []).length > 0 && (
        <ul className={classes.notes}>
          {(job.notes ?? []).map((n) => (
            <li key={`${n.result} ${n.message}`}>
              <span className="num">{f.count(n.count)}×</span> <span lang="en">{n.message}</span>{' '}
              <Link to="/dead-letters" search={{ letter: n.example, state: 'all' }}>
                {t.jobs.example}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
