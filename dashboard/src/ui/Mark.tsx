import type { ReactNode } from 'react';
import classes from './ui.module.css';

export type Tone = 'ok' | 'warn' | 'bad' | 'idle' | 'move';

interface MarkProps {
  tone: Tone;
  children: ReactNode;
  icon?: ReactNode;
  title?: string;
  large?: boolean;
}

/** A word with a glyph on a tint: never colour alone. */
export function Mark({ tone, children, icon, title, large = false }: MarkProps) {
  return (
    <span className={`${classes.mark} ${large ? classes.markLarge : ''}`} data-tone={tone} title={title}>
      {icon}
      <span>{children}</span>
    </span>
  );
}
