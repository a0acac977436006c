import { Link } from '@tanstack/react-router';
import { CirclePause } from 'lucide-react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { whoPaused } from './PausedMark';
import classes from './stages.module.css';

/** Why a stage stands still: who wants it, since when, and whether all processes have followed. */
export function PauseBanner({ stage, pause }: { stage: Schema<'Stage'>; pause: Schema<'Pause'> }) {
  const { t, f } = useI18n();
  const words = t.stages.paused;
  const who = whoPaused(pause);
  return (
    <section className={classes.paused} role="status" data-testid="paused">
      <CirclePause size={20} aria-hidden />
      <div>
        <p className={classes.pausedTitle}>
          {pause.id === stage.id ? (
            words.banner(who)
          ) : (
            <>
              {words.with(who)}{' '}
              <Link to="/stages/$id" params={{ id: pause.id }}>
                {pause.id}
              </Link>
            </>
          )}
        </p>
        <p>«{pause.reason}»</p>
        <p className="secondary">
          <time dateTime={pause.since}>{words.since(f.here(pause.since))}</time>. {words.waits}
          {stage.paused_processes < stage.processes && (
            <> {words.following(f.count(stage.paused_processes), f.count(stage.processes))}.</>
          )}
        </p>
      </div>
    </section>
  );
}
