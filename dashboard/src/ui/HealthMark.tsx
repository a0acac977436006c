import { Circle, CircleCheck, CirclePause, OctagonX, TriangleAlert } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import type { Health } from '../topology/health';
import classes from './ui.module.css';

const icons = { ok: CircleCheck, warn: TriangleAlert, bad: OctagonX, idle: Circle, paused: CirclePause };

/** How something does: a glyph of its own for each, and its word for who does not see it. A server of a later version may know more words. */
export function HealthMark({ health, size = 14 }: { health: Health; size?: number }) {
  const { t } = useI18n();
  const Icon = icons[health] ?? Circle;
  const word = t.health[health] ?? health;
  return (
    <span className={classes.health} data-health={health} title={word}>
      <Icon size={size} aria-hidden />
      <span className="visually-hidden">{word}</span>
    </span>
  );
}
