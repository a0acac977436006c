import { Skeleton } from '@mantine/core';
import classes from './overview.module.css';

/** In the place of the topology until it is known: as large as that of one pipeline. */
export function TopologySkeleton() {
  return (
    <div className={classes.topologySkeleton} aria-hidden>
      {[0, 1, 2, 3].map((i) => (
        <Skeleton key={i} radius={10} />
      ))}
    </div>
  );
}
