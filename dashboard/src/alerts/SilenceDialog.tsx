import { Button, Modal, SegmentedControl } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { answer } from '../api/typed';
import { useApi } from '../app/scope';
import { useI18n } from '../i18n/i18n';
import { ReasonField } from '../ui/ReasonField';
import { Refused } from '../ui/Refused';
import classes from './alerts.module.css';
import { type Alert, silenceChanged } from './queries';
import { sentence } from './sentence';

/** For how long an alert can be silenced here, in minutes: up to what the server allows. */
const durations = [60, 240, 1_440, 10_080] as const;

/** Asks for how long an alert is to be silent, and why. */
export function SilenceDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const { t, f } = useI18n();
  const api = useApi();
  const id = useId();
  const queryClient = useQueryClient();
  const [minutes, setMinutes] = useState<number>(durations[0]);
  const [reason, setReason] = useState('');
  const silence = useMutation({
    mutationFn: () =>
      answer(
        api.POST('/api/v1/alerts/{id}/silence', {
          params: { path: { id: alert.id } },
          body: { minutes, reason: reason.trim() },
        }),
      ),
    onSuccess: async () => {
      await silenceChanged(queryClient, api);
      onClose();
    },
  });
  const ready = reason.trim().length >= 3 && !silence.isPending;
  return (
    <Modal
      opened
      onClose={onClose}
      title={t.alerts.dialog.title}
      size={520}
      closeButtonProps={{ 'aria-label': t.ui.close }}
      closeOnClickOutside={!silence.isPending}
    >
      <form
        className={classes.dialog}
        data-testid="silence"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) silence.mutate();
        }}
      >
        <p className={classes.sentence}>{sentence(alert, t, f)}</p>
        <p className="secondary">{t.alerts.dialog.explain}</p>
        <div>
          <span id={id} className={classes.label}>
            {t.alerts.dialog.lasting}
          </span>
          <SegmentedControl
            fullWidth
            aria-labelledby={id}
            value={String(minutes)}
            onChange={(value) => setMinutes(Number(value))}
            data={durations.map((n) => ({ value: String(n), label: f.duration(n * 60_000) }))}
          />
          <p className="secondary num">
            {t.alerts.dialog.until(f.here(new Date(Date.now() + minutes * 60_000).toISOString()))}
          </p>
        </div>
        <ReasonField
          label={t.alerts.dialog.reason}
          hint={t.alerts.dialog.reasonHint}
          value={reason}
          onChange={setReason}
          required
        />
        {silence.isError && <Refused error={silence.error} />}
        <footer className={classes.foot}>
          <Button variant="default" onClick={onClose} disabled={silence.isPending}>
            {t.ui.cancel}
          </Button>
          <Button type="submit" disabled={!ready} loading={silence.isPending} data-testid="confirm-silence">
            {t.alerts.dialog.confirm}
          </Button>
        </footer>
      </form>
    </Modal>
  );
}
