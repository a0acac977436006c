import { Button, Modal } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Pause, Play } from 'lucide-react';
import { useState } from 'react';
import { answer, type Schema } from '../api/typed';
import { allTenantsRole, useApi, useRole } from '../app/scope';
import { useRange } from '../frame/range';
import { useI18n } from '../i18n/i18n';
import { ReasonField } from '../ui/ReasonField';
import { Refused } from '../ui/Refused';
import { stagesQuery } from './queries';
import classes from './stages.module.css';

/** The least that counts as a reason; the API wants as much. */
const reasonLength = 3;

/** Has a stage stand still or go on, for those who may hold up all tenants. */
export function PauseControl({ stage }: { stage: Schema<'Stage'> }) {
  const { t } = useI18n();
  const operates = useRole('ops:write');
  const all = useRole(allTenantsRole);
  const [asking, setAsking] = useState(false);
  if (!operates) return null;
  const own = stage.paused?.id === stage.id;
  const words = t.stages.paused;
  return (
    <>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={own ? <Play size={13} aria-hidden /> : <Pause size={13} aria-hidden />}
        disabled={!all}
        title={all ? undefined : words.needs}
        onClick={() => setAsking(true)}
        className={classes.pauseButton}
      >
        {own ? words.resume : words.pause}
      </Button>
      {asking && <PauseDialog stage={stage} resume={own} onClose={() => setAsking(false)} />}
    </>
  );
}

/** Asks why, and says what stands still. */
function PauseDialog({ stage, resume, onClose }: { stage: Schema<'Stage'>; resume: boolean; onClose: () => void }) {
  const { t } = useI18n();
  const api = useApi();
  const queryClient = useQueryClient();
  const words = t.stages.paused;
  const [reason, setReason] = useState('');
  const change = useMutation({
    mutationFn: () => {
      const init = { params: { path: { id: stage.id } }, body: { reason: reason.trim() } };
      // It is done to all tenants, so none is named.
      return answer(
        resume
          ? api.anyTenant.POST('/api/v1/stages/{id}/resume', init)
          : api.anyTenant.POST('/api/v1/stages/{id}/pause', init),
      );
    },
    onSuccess: async () => {
      // What was read before is not so any more, wherever it is shown.
      await queryClient.invalidateQueries({
        predicate: ({ queryKey }) => queryKey.some((part) => typeof part === 'string' && stale.has(part)),
      });
      onClose();
    },
  });
  const ready = !change.isPending && (resume || reason.trim().length >= reasonLength);
  const [range] = useRange();
  const stages = useQuery({ ...stagesQuery(api, range), enabled: !resume });
  const others = (stages.data?.items ?? []).filter(
    (s) => s.pipeline === stage.pipeline && s.hop === stage.hop && s.id !== stage.id,
  );
  return (
    <Modal
      opened
      onClose={onClose}
      title={resume ? words.resumeTitle(stage.id) : words.title(stage.id)}
      size={520}
      closeButtonProps={{ 'aria-label': t.ui.close }}
      closeOnClickOutside={!change.isPending}
    >
      <form
        className={classes.pauseForm}
        data-testid="pause"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) change.mutate();
        }}
      >
        <p>{resume ? words.resumeExplain : words.explain}</p>
        {others.length > 0 && !resume && <p>{words.fused(others.map((s) => s.id).join(', '))}</p>}
        <ReasonField
          label={resume ? words.resumeReason : words.reason}
          hint={resume ? words.resumeHint : words.reasonHint}
          value={reason}
          onChange={setReason}
          required={!resume}
        />
        {change.isError && <Refused error={change.error} />}
        <footer className={classes.pauseFoot}>
          <Button variant="default" onClick={onClose} disabled={change.isPending}>
            {t.ui.cancel}
          </Button>
          <Button type="submit" disabled={!ready} loading={change.isPending} data-testid="confirm">
            {resume ? words.resumeConfirm : words.confirm}
          </Button>
        </footer>
      </form>
    </Modal>
  );
}

/** What is kept of answers that say whether stages stand still. */
const stale = new Set(['stage', 'stages', 'overview', 'topology', 'queues', 'audit']);
