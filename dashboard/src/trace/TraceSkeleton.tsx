import { Skeleton, VisuallyHidden } from '@mantine/core';
import { useI18n } from '../i18n/i18n';
import classes from './trace.module.css';

const lines = ['a', 'b', 'c', 'd', 'e', 'f'];

/** What a trace will look like, while it is on its way. */
export function TraceSkeleton() {
  const { t } = useI18n();
  return (
    <div className={classes.page} aria-busy="true">
      <VisuallyHidden>
        <h1>{t.trace.loading}</h1>
      </VisuallyHidden>
      <div className={classes.head} aria-hidden>
        <div className={classes.headTop}>
          <div className={classes.identity}>
            <Skeleton height={18} width={120} />
            <Skeleton height={34} width={280} mt={4} maw="100%" />
          </div>
        </div>
        <Skeleton height={16} width={320} mt={12} maw="100%" />
        <Skeleton height={66} mt={20} />
      </div>
      <div className={classes.columns} aria-hidden>
        <div className={classes.card}>
          <Skeleton height={24} width={140} mb={20} />
          {lines.map((line) => (
            <div className={classes.skeletonRow} key={line}>
              <Skeleton height={16} width={64} />
              <Skeleton height={26} circle />
              <div>
                <Skeleton height={18} width="45%" />
                <Skeleton height={14} width="70%" mt={8} />
              </div>
            </div>
          ))}
        </div>
        <div className={`${classes.card} ${classes.side}`}>
          <Skeleton height={24} width={180} mb={20} />
          <Skeleton height={320} />
        </div>
      </div>
    </div>
  );
}
