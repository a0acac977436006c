import { Button, Modal, Progress } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { answer, type Schema } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { CopyButton } from '../ui/CopyButton';
import { ReasonField } from '../ui/ReasonField';
import { Refused } from '../ui/Refused';
import classes from './carriers.module.css';
import { lineOf, type Meaning } from './meaning';
import { codeJobQuery, inboxKey } from './queries';

interface CodeDialogProps {
  code: Schema<'UnmappedCode'>;
  action: 'apply' | 'dismiss';
  /** What it is to mean; not for dismissing it. */
  meaning: Meaning | undefined;
  onClose: () => void;
}

/** Asks whether a decision about a code is meant, and shows how far the traces are folded anew. */
export function CodeDialog({ code, action, meaning, onClose }: CodeDialogProps) {
  const { t, f } = useI18n();
  const words = t.carriers.inbox;
  const api = useApi();
  const queryClient = useQueryClient();
  const [reason, setReason] = useState('');
  const apply = action === 'apply';
  const decide = useMutation({
    mutationFn: () => {
      // A code may have slashes, and whatever else.
      const path = { carrier: code.carrier, code: code.code };
      const why = { reason: reason.trim() };
      return apply
        ? answer(
            api.POST('/api/v1/carriers/{carrier}/unmapped/{code}/apply', {
              params: { path },
              body: { ...meaning, ...why },
            }),
          )
        : answer(api.POST('/api/v1/carriers/{carrier}/unmapped/{code}/dismiss', { params: { path }, body: why }));
    },
    onSuccess: () => void queryClient.invalidateQueries({ queryKey: [api.tenant, 'audit'] }),
  });
  const id = decide.data?.id;
  const polled = useQuery({
    ...codeJobQuery(api, id ?? ''),
    enabled: id !== undefined && decide.data?.state === 'running',
    refetchInterval: (query) => (query.state.data?.state === 'done' ? false : 1_000),
  });
  const job = polled.data ?? decide.data;
  const close = () => {
    // The code leaves the list only now: what came of it was to be read.
    if (job) void queryClient.invalidateQueries({ queryKey: inboxKey(api) });
    onClose();
  };
  const line = meaning && lineOf(code, meaning);
  return (
    <Modal
      opened
      onClose={close}
      title={apply ? words.applyTitle(code.code) : words.dismissTitle(code.code)}
      size={560}
      closeButtonProps={{ 'aria-label': t.ui.close }}
      closeOnClickOutside={!decide.isPending}
    >
      <form
        className={classes.dialog}
        data-testid="decide"
        onSubmit={(event) => {
          event.preventDefault();
          if (!decide.isPending && !job) decide.mutate();
        }}
      >
        <p>
          {apply
            ? words.applySentence(code.count, f.count(code.count), code.code, code.carrier)
            : words.dismissSentence(code.code, code.carrier)}
        </p>
        {apply && line && (
          <>
            <p className={classes.line}>
              <code className="mono">{line}</code>
              <CopyButton value={line} label={words.copy(code.code)} />
            </p>
            <p className="secondary">{words.applyNote}</p>
          </>
        )}
        {!job && <ReasonField label={words.reason} hint={words.reasonHint} value={reason} onChange={setReason} />}
        {decide.isError && <Refused error={decide.error} />}
        {job && (
          <div role="status" data-testid={`refold-${job.state}`}>
            <Progress
              value={job.total > 0 ? (100 * job.done) / job.total : 100}
              aria-label={words.progress(f.count(job.done), f.count(job.total))}
            />
            <p className="num">
              {job.state === 'running'
                ? words.progress(f.count(job.done), f.count(job.total))
                : words.done(job.traces, f.count(job.traces), f.count(job.changed))}
            </p>
          </div>
        )}
        <footer className={classes.decide}>
          <Button variant="default" onClick={close} disabled={decide.isPending}>
            {job ? t.ui.close : t.ui.cancel}
          </Button>
          {!job && (
            <Button type="submit" color={apply ? 'brand' : 'red'} loading={decide.isPending} data-testid="confirm">
              {apply ? words.confirmApply : words.confirmDismiss}
            </Button>
          )}
        </footer>
      </form>
    </Modal>
  );
}
