import { Button, Loader, Modal, NumberInput, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { FlaskConical } from 'lucide-react';
import { useState } from 'react';
import { ApiError } from '../api/client';
import { answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { ReasonField } from '../ui/ReasonField';
import { Refused } from '../ui/Refused';
import { confirms, facets, type LettersSearch, listOf, typedAbove } from './filter';
import { lettersKey } from './queries';
import classes from './queues.module.css';

/** What is to be done, and to which letters. */
export interface ActionRequest {
  action: 'redrive' | 'discard';
  filter: Schema<'LetterFilter'>;
  /** How many letters that is, as far as is known. */
  count: number;
  /** The filter as it stands in the address; undefined when letters were chosen one by one. */
  search: LettersSearch | undefined;
}

/** Letters a second, unless somebody says otherwise: what a pipeline takes beside its ordinary load. */
const usualRate = 50;

/** Asks for letters to be redriven or discarded: which, how many, why, and before that what would happen. */
export function ActionDialog({ request, onClose }: { request: ActionRequest; onClose: () => void }) {
  const { t, f } = useI18n();
  const api = useApi();
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const [count, setCount] = useState(request.count);
  const [rate, setRate] = useState<number | string>(usualRate);
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const redrive = request.action === 'redrive';
  const words = t.action[request.action];

  const trial = useQuery({
    queryKey: [api.tenant, 'trial', request.filter, count],
    queryFn: ({ signal }) =>
      answer(
        api.POST('/api/v1/dead-letters/redrive', {
          params: { query: { dryRun: true } },
          body: { filter: request.filter },
          signal,
        }),
      ),
    enabled: redrive,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
  });

  const start = useMutation({
    mutationFn: () => {
      const init = {
        params: { query: { expectedCount: count, rate: Number(rate) || usualRate } },
        body: { filter: request.filter, reason: reason.trim() },
      };
      return answer(
        redrive ? api.POST('/api/v1/dead-letters/redrive', init) : api.POST('/api/v1/dead-letters/discard', init),
      );
    },
    onSuccess: ({ job }) => {
      void queryClient.invalidateQueries({ queryKey: lettersKey(api) });
      void queryClient.invalidateQueries({ queryKey: [api.tenant, 'audit'] });
      onClose();
      void navigate({ to: '/dead-letters', search: { view: 'jobs', ...(job && { job: job.id }) } });
    },
  });

  const matched = trial.data?.trial?.matched;
  // What the dry run has seen is newer than what the list had.
  const now = matched ?? count;
  const mustType = now > typedAbove;
  const ready =
    reason.trim().length >= 3 &&
    now > 0 &&
    !trial.isFetching &&
    (!mustType || confirms(typed, now)) &&
    !start.isPending;
  const differs = start.error instanceof ApiError && start.error.problem.type.endsWith('count-differs');

  return (
    <Modal
      opened
      onClose={onClose}
      title={words.title}
      size={640}
      closeButtonProps={{ 'aria-label': t.ui.close }}
      closeOnClickOutside={!start.isPending}
    >
      <form
        className={classes.action}
        data-testid="action"
        onSubmit={(event) => {
          event.preventDefault();
          if (matched !== undefined) setCount(matched);
          if (ready) start.mutate();
        }}
      >
        <p className={classes.sentence}>
          {words.sentence(now, f.count(now))} <FilterSentence request={request} />
        </p>
        {redrive && <TrialResult trial={trial.data?.trial} error={trial.error} busy={trial.isFetching} />}
        {!redrive && <p className="secondary">{t.action.discardExplained}</p>}
        <ReasonField label={t.action.reason} hint={t.action.reasonHint} value={reason} onChange={setReason} required />
        {redrive && (
          <NumberInput
            label={t.action.rate}
            description={t.action.rateHint(f.duration((now / (Number(rate) || usualRate)) * 1000))}
            value={rate}
            onChange={setRate}
            min={1}
            max={10_000}
            allowDecimal={false}
            clampBehavior="strict"
            w={220}
            suffix={` ${t.overview.perSecond}`}
          />
        )}
        {mustType && (
          <TextInput
            label={t.action.type(f.count(now))}
            value={typed}
            onChange={(e) => setTyped(e.currentTarget.value)}
            inputMode="numeric"
            autoComplete="off"
            w={220}
          />
        )}
        {start.isError && (
          <Refused error={start.error} words={differs ? t.action.differs : undefined}>
            {differs && (
              <Button
                size="compact-sm"
                variant="default"
                mt={8}
                onClick={() => void trial.refetch().then(() => start.reset())}
              >
                {t.action.lookAgain}
              </Button>
            )}
          </Refused>
        )}
        <footer className={classes.actionFoot}>
          <span className="secondary">{t.action.mayChange}</span>
          <Button variant="default" onClick={onClose} disabled={start.isPending}>
            {t.ui.cancel}
          </Button>
          <Button
            type="submit"
            color={redrive ? 'brand' : 'red'}
            disabled={!ready}
            loading={start.isPending}
            data-testid="confirm"
          >
            {words.confirm(f.count(now))}
          </Button>
        </footer>
      </form>
    </Modal>
  );
}

/** The filter in words: what is done must be what is read. */
function FilterSentence({ request: { search } }: { request: ActionRequest }) {
  const { t } = useI18n();
  if (!search) return <span className="secondary">{t.action.chosen}</span>;
  const parts = facets.flatMap((facet) => {
    const values = listOf(search[facet]);
    return values.length === 0 ? [] : [{ facet, values }];
  });
  if (parts.length === 0 && !search.correlationId) return <span className="secondary">{t.action.allOpen}</span>;
  return (
    <span className={classes.filterParts}>
      {parts.map(({ facet, values }) => (
        <span key={facet}>
          {t.letters.facets[facet]}: <code className="mono">{values.join(', ')}</code>
        </span>
      ))}
      {search.correlationId && (
        <span>
          {t.letters.correlation}: <code className="mono">{search.correlationId}</code>
        </span>
      )}
    </span>
  );
}

const outcomes = ['pass', 'rejected', 'dropped', 'failed', 'unknown'] as const;

/** What would happen to each letter, as the pipelines are configured today. */
function TrialResult({ trial, error, busy }: { trial: Schema<'Trial'> | undefined; error: unknown; busy: boolean }) {
  const { t, f } = useI18n();
  const words = t.action.trial;
  if (busy)
    return (
      <p className={classes.trial} role="status">
        <Loader size={16} /> {words.running}
      </p>
    );
  if (error || !trial) return <Refused error={error} words={words.failed} mild />;
  const would = new Map<string, { count: number; outcome: string; at: string; reason: string; message: string }>();
  for (const l of trial.letters ?? []) {
    if (l.outcome === 'pass') continue;
    const key = `${l.outcome} ${l.at} ${l.reason}`;
    const known = would.get(key);
    if (known) known.count++;
    else
      would.set(key, {
        count: 1,
        outcome: l.outcome,
        at: l.at ?? '',
        reason: l.reason ?? '',
        message: l.message ?? '',
      });
  }
  return (
    <section className={classes.trial} aria-label={words.title} data-testid="trial">
      <h3>
        <FlaskConical size={15} aria-hidden /> {words.title}
      </h3>
      <p className="secondary">{words.tried(trial.tried, f.count(trial.tried), f.count(trial.matched))}</p>
      <div className={classes.trialBar} aria-hidden>
        {outcomes.map((o) =>
          (trial.outcomes[o] ?? 0) > 0 ? (
            <span key={o} data-outcome={o} style={{ flexGrow: trial.outcomes[o] ?? 0 }} />
          ) : null,
        )}
      </div>
      <ul className={classes.trialOutcomes}>
        {outcomes.map((o) =>
          (trial.outcomes[o] ?? 0) > 0 ? (
            <li key={o} data-outcome={o}>
              <strong className="num">{f.count(trial.outcomes[o] ?? 0)}</strong> {words.outcomes[o]}
            </li>
          ) : null,
        )}
      </ul>
      {would.size > 0 && (
        <ul className={classes.trialWhy}>
          {[...would.values()].slice(0, 4).map((w) => (
            <li key={`${w.outcome} ${w.at} ${w.reason}`}>
              <span className="num">{f.count(w.count)}×</span> <code className="mono">{w.reason || w.outcome}</code>
              {w.at && <> · {w.at}</>}{' '}
              <span lang="en" className="secondary">
                {w.message}
              </span>
            </li>
          ))}
        </ul>
      )}
      {(trial.not_run ?? []).length > 0 && (
        <p className="secondary">{words.notRun((trial.not_run ?? []).join(', '))}</p>
      )}
    </section>
  );
}
