import { Button } from '@mantine/core';
import { CloudOff } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import classes from './ui.module.css';

/** Says that what is shown could not be brought up to date. */
export function StaleNote({ onRetry }: { onRetry: () => void }) {
  const { t } = useI18n();
  return (
    <p className={classes.staleNote} role="status">
      <CloudOff size={15} aria-hidden />
      {t.error.stale}
      <Button size="compact-sm" variant="default" onClick={onRetry}>
        {t.error.retry}
      </Button>
    </p>
  );
}
