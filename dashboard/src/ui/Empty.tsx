import type { ReactNode } from 'react';
import classes from './ui.module.css';

interface EmptyProps {
  icon: ReactNode;
  title: string;
  level?: 1 | 2;
  children?: ReactNode;
}

/** Says that there is nothing, what that means and what to do next. */
export function Empty({ icon, title, level = 2, children }: EmptyProps) {
  const Heading = level === 1 ? 'h1' : 'h2';
  return (
    <div className={classes.empty}>
      <div className={classes.emptyIcon}>{icon}</div>
      <Heading className={classes.emptyTitle}>{title}</Heading>
      <div className={classes.emptyText}>{children}</div>
    </div>
  );
}
