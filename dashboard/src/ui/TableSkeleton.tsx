import { Skeleton } from '@mantine/core';
import { useI18n } from '../i18n/i18n';
import classes from './ui.module.css';

/** In the place of a table until it is known: as high as one with so many rows. */
export function TableSkeleton({ rows }: { rows: number }) {
  const { t } = useI18n();
  return (
    <div className={classes.tableSkeleton} role="status" aria-label={t.ui.loading}>
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they never move
        <Skeleton key={i} height={14} radius={4} />
      ))}
    </div>
  );
}
