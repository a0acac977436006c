import type { ReactNode } from 'react';
import classes from './ui.module.css';

interface CardProps {
  children: ReactNode;
  title?: ReactNode;
  note?: ReactNode;
  /** What stands at the end of the title's line. */
  actions?: ReactNode;
  className?: string;
  labelledBy?: string;
  titleId?: string;
}

export function Card({ children, title, note, actions, className, labelledBy, titleId }: CardProps) {
  return (
    <section className={`${classes.card} ${className ?? ''}`} aria-labelledby={labelledBy ?? titleId}>
      {title !== undefined && (
        <header className={classes.cardHeader}>
          <h2 className={classes.cardTitle} id={titleId}>
            {title}
          </h2>
          {note && <span className={classes.cardNote}>{note}</span>}
          {actions && <div className={classes.cardActions}>{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}
