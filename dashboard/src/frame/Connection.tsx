import { Tooltip } from '@mantine/core';
import { CirclePause, CloudOff, LoaderCircle } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import classes from './frame.module.css';

/** How the live connection is doing: a glyph and a word. */
export function ConnectionMark() {
  const { t } = useI18n();
  const connection = useLive((s) =>
    s.connection === 'live' && s.staleFor !== undefined ? 'reconnecting' : s.connection,
  );
  const glyph = {
    live: <span className={classes.pulse} aria-hidden />,
    connecting: <LoaderCircle size={14} className={classes.spin} aria-hidden />,
    reconnecting: <LoaderCircle size={14} className={classes.spin} aria-hidden />,
    paused: <CirclePause size={14} aria-hidden />,
  }[connection];
  return (
    <Tooltip label={t.connection.hint[connection]} withArrow openDelay={300}>
      <span className={classes.connection} data-state={connection} data-testid="connection" role="status">
        {glyph}
        <span className={classes.connectionText}>{t.connection[connection]}</span>
      </span>
    </Tooltip>
  );
}

/** Says how old the data are once they are. It lies over the page, so that nothing moves when it comes and goes. */
export function StaleBanner() {
  const { t, f } = useI18n();
  const staleFor = useLive((s) => s.staleFor);
  const known = useLive((s) => s.latest !== undefined);
  if (staleFor === undefined) return null;
  return (
    <div className={classes.banner} role="alert">
      <CloudOff size={15} aria-hidden />
      <span className="num" aria-live="off">
        {known ? t.connection.stale(f.duration(staleFor)) : t.connection.never}
      </span>
    </div>
  );
}
