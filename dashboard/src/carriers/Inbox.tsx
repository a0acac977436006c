import { Button, NativeSelect, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Inbox as InboxIcon } from 'lucide-react';
import { useId, useState } from 'react';
import type { Schema } from '../api/typed';
import { useApi, useRole } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { useInterval } from '../live/live';
import { Card } from '../ui/Card';
import { CopyButton } from '../ui/CopyButton';
import { Empty } from '../ui/Empty';
import { ErrorCard } from '../ui/ErrorCard';
import { useNow } from '../ui/useNow';
import { CodeDialog } from './CodeDialog';
import classes from './carriers.module.css';
import { lineOf, type Meaning, meanings, proposed } from './meaning';
import { inboxQuery } from './queries';

/** The codes of all carriers that nothing knows. */
export function Inbox() {
  const { t, f } = useI18n();
  const asked = useQuery({ ...inboxQuery(useApi()), refetchInterval: useInterval(15_000) });
  if (!asked.data && asked.error)
    return <ErrorCard error={asked.error} onRetry={() => void asked.refetch()} retrying={asked.isFetching} />;
  if (!asked.data) return <Skeleton height={320} radius={10} />;
  const n = (asked.data.items ?? []).length;
  if (n === 0)
    return (
      <Card labelledBy="no-codes">
        <Empty icon={<InboxIcon size={28} aria-hidden />} title={t.carriers.inbox.empty}>
          <p>{t.carriers.inbox.emptyNext}</p>
        </Empty>
      </Card>
    );
  return (
    <Card titleId="codes" title={t.carriers.inbox.all(n, f.count(n))}>
      <p className="secondary">{t.carriers.inbox.lead}</p>
      <CodeList page={asked.data} withCarrier />
    </Card>
  );
}

interface CodeListProps {
  page: Schema<'UnmappedPage'>;
  /** Whether each says whose it is. */
  withCarrier?: boolean;
}

export function CodeList({ page, withCarrier = false }: CodeListProps) {
  const { t } = useI18n();
  return (
    <>
      <ul className={classes.codes} data-testid="inbox">
        {(page.items ?? []).map((code) => (
          <Code key={`${code.carrier} ${code.code}`} code={code} withCarrier={withCarrier} />
        ))}
      </ul>
      {page.next_cursor && <p className="secondary">{t.carriers.inbox.more}</p>}
    </>
  );
}

function Code({ code, withCarrier }: { code: Schema<'UnmappedCode'>; withCarrier: boolean }) {
  const { t, f } = useI18n();
  const words = t.carriers.inbox;
  const now = useNow(10_000);
  const writes = useRole('ops:write');
  const hint = useId();
  const [chosen, setChosen] = useState<string>();
  const [asking, setAsking] = useState<'apply' | 'dismiss'>();
  const samples = code.samples ?? [];
  const options = meanings(code, t);
  const value = chosen ?? (code.proposal ? proposed : '');
  const meaning: Meaning | undefined = options.find((option) => option.value === value)?.meaning;
  const line = meaning && lineOf(code, meaning);
  return (
    <li>
      <details>
        <summary>
          <code className="mono">{code.code}</code>
          {withCarrier && <span className="mono secondary">{code.carrier}</span>}
          <span className="num secondary">
            {t.carriers.rejectCount(code.count, f.count(code.count))},{' '}
            {t.carriers.lastSeen(f.ago(Math.max(0, now - Date.parse(code.last_at))))}
          </span>
        </summary>
        <div className={classes.code}>
          {code.proposal ? (
            <p>
              {words.proposal(f.percent(code.proposal.confidence))}:{' '}
              <span lang="en" className="secondary">
                {code.proposal.why}
              </span>
            </p>
          ) : (
            <p className="secondary">{words.noProposal}</p>
          )}
          <p>
            {words.samples}: {samples.length === 0 && <span className="secondary">{words.noSamples}</span>}
            {samples.map((sample) => (
              <Link
                key={sample.uid}
                to="/traces/$id"
                params={{ id: sample.correlation_id }}
                search={{ event: sample.uid }}
                className={`${classes.sample} mono`}
                title={f.here(sample.timestamp)}
              >
                {sample.correlation_id}
              </Link>
            ))}
          </p>
          <NativeSelect
            label={words.meaning}
            value={value}
            onChange={(event) => setChosen(event.currentTarget.value)}
            data={[
              ...(code.proposal ? [] : [{ value: '', label: words.choose }]),
              ...options.map((option) => ({ value: option.value, label: option.label })),
            ]}
            w={320}
            maw="100%"
          />
          {line && (
            <>
              <p className="secondary">{words.add(code.file)}</p>
              <p className={classes.line}>
                <code className="mono">{line}</code>
                <CopyButton value={line} label={words.copy(code.code)} />
              </p>
            </>
          )}
          <p className={classes.decide}>
            <Button
              size="xs"
              disabled={!writes || !meaning}
              aria-describedby={writes ? undefined : hint}
              onClick={() => setAsking('apply')}
            >
              {words.apply}
            </Button>
            <Button
              size="xs"
              variant="default"
              disabled={!writes}
              aria-describedby={writes ? undefined : hint}
              onClick={() => setAsking('dismiss')}
            >
              {words.dismiss}
            </Button>
            {!writes && (
              <span id={hint} className="secondary">
                {words.readOnly}
              </span>
            )}
          </p>
        </div>
      </details>
      {asking && <CodeDialog code={code} action={asking} meaning={meaning} onClose={() => setAsking(undefined)} />}
    </li>
  );
}
