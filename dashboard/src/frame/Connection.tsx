import { ActionIcon, Tooltip } from '@mantine/core';
import { CirclePause, CloudOff, LoaderCircle, Pause, Play } from 'lucide-react';
import { useEffect } from 'react';
import { useI18n } from '../i18n/i18n';
import { useHold, useLive } from '../live/live';
import classes from './frame.module.css';
import { onCommand } from './keys';

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
    held: <CirclePause size={14} aria-hidden />,
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

/** Stops what is shown, to look at it, and lets it go on. */
export function HoldButton() {
  const { t } = useI18n();
  const [held, hold] = useHold();
  useEffect(() => onCommand('hold', () => hold(!held)), [held, hold]);
  const label = held ? t.connection.resume : t.connection.hold;
  return (
    <Tooltip label={label} withArrow openDelay={300}>
      <ActionIcon
        variant={held ? 'filled' : 'default'}
        size={32}
        aria-label={label}
        onClick={() => hold(!held)}
        data-testid="hold"
      >
        {held ? <Play size={15} aria-hidden /> : <Pause size={15} aria-hidden />}
      </ActionIcon>
    </Tooltip>
  );
}

/** Says how old the data are once they are. It lies over the page, so that nothing moves when it comes and goes. */
export function StaleBanner() {
  const { t, f } = useI18n();
  const staleFor = useLive((s) => s.staleFor);
  const known = useLive((s) => s.latest !== undefined || s.samples.length > 0);
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
