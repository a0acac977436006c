import { useElementSize } from '@mantine/hooks';
import { Link } from '@tanstack/react-router';
import { type CSSProperties, Fragment, memo, type ReactNode, useMemo } from 'react';
import type { Schema } from '../api/typed';
import { useI18n } from '../i18n/i18n';
import { useLive } from '../live/live';
import type { LiveState, StageGauge } from '../live/stream';
import { HealthMark } from '../ui/HealthMark';
import { LiveText } from '../ui/LiveText';
import { Spark } from '../ui/Spark';
import { type Health, urgency } from './health';
import { type Layout, type Link as Line, layout, type Place } from './layout';
import classes from './topology.module.css';

type Stage = Schema<'Stage'>;
type Queue = Schema<'Queue'>;

interface TopologyProps {
  topology: Schema<'Topology'>;
  queues: readonly Queue[] | undefined;
  /** Open dead letters by stage id. */
  letters: ReadonlyMap<string, number> | undefined;
}

const size = { height: 118, chip: 30, widest: 220, row: 40 };
/**
 * How wide stages are, how far they are apart at least, and the room at the left, where events come from outside, and at the right, where
 * they leave. Where that does not fit, all is closer, and what the last topic is called stands below its stage.
 */
const wide = { node: 158, gap: 104, left: 100, right: 80 };
const compact = { node: 146, gap: 90, left: 96, right: 20 };

/** The colour by which a kind of stage is known on all pages. */
export function hueOf(use: string): string {
  const known = ['validate', 'dedupe', 'enrich', 'persist'];
  return known.includes(use) ? `--${use}` : '--other';
}

/** How stages hang together and how each does: those that are in trouble stand first. */
export function Topology({ topology, queues, letters }: TopologyProps) {
  const { t } = useI18n();
  const { ref, width } = useElementSize();
  const stages = useMemo(() => new Map((topology.nodes ?? []).map((s) => [s.id, s])), [topology]);
  const byReader = useMemo(() => new Map((queues ?? []).map((q) => [`${q.topic} ${q.reader}`, q])), [queues]);
  const shape = JSON.stringify([
    [...stages.values()].map((s) => [s.id, s.pipeline, s.hop]),
    (topology.edges ?? []).map((e) => [e.topic, e.from, e.to]),
  ]);
  const troubles = [...stages.values()].map((s) => `${s.id} ${urgency(s.health)}`).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: figures change every second, the shape hardly ever
  const drawn = useMemo(
    () =>
      layout([...stages.values()], topology.edges ?? [], (ids) =>
        Math.min(...ids.map((id) => urgency((stages.get(id) as Stage).health))),
      ),
    [shape, troubles],
  );
  const geometry = geometryOf(drawn, width || 1_100);
  return (
    <div className={classes.scroll} ref={ref} data-testid="topology">
      <div
        className={classes.canvas}
        data-compact={geometry.compact || undefined}
        style={
          {
            '--w': `${geometry.width}px`,
            '--h': `${geometry.height}px`,
            '--node': `${geometry.node}px`,
            '--left': `${geometry.left}px`,
          } as CSSProperties
        }
      >
        <svg
          className={classes.lines}
          width={geometry.width}
          height={geometry.height}
          aria-hidden="true"
          focusable="false"
        >
          {drawn.links.map((line) => {
            const queue = line.topic ? byReader.get(`${line.topic} ${stages.get(line.to ?? '')?.pipeline}`) : undefined;
            return (
              <path
                key={line.key}
                d={geometry.path(line)}
                className={classes.line}
                data-fused={line.topic === undefined || undefined}
                data-health={queue?.health ?? 'ok'}
              />
            );
          })}
        </svg>
        <ol className={classes.list} aria-label={t.topology.title}>
          {drawn.order.map((id) => {
            const stage = stages.get(id) as Stage;
            const [x, y] = geometry.at(drawn.places.get(id));
            const incoming = drawn.links.filter((l) => l.to === id && l.topic !== undefined);
            const topics = [...new Set(incoming.map((l) => l.topic as string))];
            const outgoing = drawn.links.find((l) => l.from === id && l.to === undefined);
            return (
              <li
                key={id}
                className={classes.step}
                style={{ '--x': `${x}px`, '--y': `${y}px`, '--gap': `${geometry.gap}px` } as CSSProperties}
              >
                <div className={classes.queues} data-first={drawn.places.get(id)?.column === 0 || undefined}>
                  {topics.map((topic) => (
                    <QueueLabel
                      key={topic}
                      topic={topic}
                      stage={stage}
                      queue={byReader.get(`${topic} ${stage.pipeline}`)}
                    />
                  ))}
                </div>
                <StageNode stage={stage} letters={letters?.get(id)} />
                {outgoing && (
                  <span className={classes.out} title={outgoing.topic}>
                    {broken(outgoing.topic ?? '')}
                  </span>
                )}
              </li>
            );
          })}
        </ol>
      </div>
    </div>
  );
}

/** A topic that may go on in another line after each of its dots. */
function broken(topic: string): ReactNode {
  return topic.split('.').map((part, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a name stay where they are
    <Fragment key={i}>
      {i > 0 && (
        <>
          .<wbr />
        </>
      )}
      {part}
    </Fragment>
  ));
}

/** Where things are, in pixels, in a width. */
function geometryOf(drawn: Layout, width: number) {
  const { columns, rows } = drawn;
  const least = wide.left + columns * wide.node + (columns - 1) * wide.gap + wide.right;
  const { node, left, right, gap: closest } = least <= width ? wide : compact;
  const free = width - left - right - columns * node;
  const gap = columns > 1 ? Math.min(Math.max(Math.floor(free / (columns - 1)), closest), size.widest) : 0;
  const pitch = size.height + size.chip + size.row;
  const at = (place: Place | undefined): [x: number, y: number] => [
    left + (place?.column ?? 0) * (node + gap),
    (place?.row ?? 0) * pitch,
  ];
  const middle = size.height / 2;
  const path = (line: Line): string => {
    const start = line.from === undefined ? undefined : at(drawn.places.get(line.from));
    const end = line.to === undefined ? undefined : at(drawn.places.get(line.to));
    const points: [number, number][] = [];
    if (start) points.push([start[0] + node, start[1] + middle]);
    else if (end) points.push([0, end[1] + middle]);
    for (const place of line.via) {
      const [x, y] = at(place);
      points.push([x, y + middle], [x + node, y + middle]);
    }
    if (end) points.push([end[0], end[1] + middle]);
    else if (start) points.push([start[0] + node + right, start[1] + middle]);
    return points
      .map(([x, y], i) => {
        const before = points[i - 1];
        if (!before) return `M${x} ${y}`;
        if (before[1] === y) return `L${x} ${y}`;
        const half = (before[0] + x) / 2;
        return `C${half} ${before[1]} ${half} ${y} ${x} ${y}`;
      })
      .join('');
  };
  return {
    gap: gap || left,
    compact: least > width,
    node,
    left,
    width: Math.max(left + columns * node + Math.max(columns - 1, 0) * gap + right, 0),
    height: Math.max(rows * pitch - size.row, 0),
    at,
    path,
  };
}

/** What a stage is told to do just now, by the stream or else as it was read. */
const gauge = (state: LiveState, stage: Stage): StageGauge => state.stages[stage.id] ?? stage.now;

/** What waits before a stage. */
const QueueLabel = memo(function QueueLabel({
  topic,
  stage,
  queue,
}: {
  topic: string;
  stage: Stage;
  queue: Queue | undefined;
}) {
  const { t, f } = useI18n();
  const waits = queue?.depth;
  const health: Health = queue?.health ?? 'ok';
  const age = queue?.head_ms ?? ((waits ?? 0) > 0 ? queue?.oldest_ms : undefined);
  const depth = waits === undefined ? t.time.unknown : `${queue?.approximate ? '≈' : ''}${f.count(waits)}`;
  const arrow = queue?.trend === 'growing' ? '▲' : queue?.trend === 'draining' ? '▼' : '';
  return (
    <Link to="/queues" className={classes.queue} data-health={health} title={topic}>
      <span className={classes.flow}>
        <LiveText className="num" text={(s) => f.rate(gauge(s, stage).in_per_second)} />
        <span className={classes.unit}>{t.overview.perSecond}</span>
        <span title={t.topology.returningHint}>
          <LiveText
            className={`${classes.returning} num`}
            text={(s) => {
              const retried = gauge(s, stage).retried_per_second;
              return retried > 0 ? t.topology.returning(f.rate(retried)) : '';
            }}
          />
        </span>
      </span>
      <span className={`${classes.waits} num`}>
        {health !== 'ok' && health !== 'paused' && <HealthMark health={health} size={12} />}
        {t.topology.waiting(depth)}
        {arrow && <span title={queue?.trend === 'growing' ? t.topology.growing : t.topology.draining}>{arrow}</span>}
        {age !== undefined && <span className={classes.age}>{t.topology.oldest(f.ms(age))}</span>}
      </span>
    </Link>
  );
});

/** A stage: what it does, how much, how long, and whether it is well. */
const StageNode = memo(function StageNode({ stage, letters }: { stage: Stage; letters: number | undefined }) {
  const { t, f } = useI18n();
  const { health } = stage;
  const trail = useLive((s) => s.trails[stage.id]);
  const second = (s: LiveState): string => {
    if (stage.paused) return t.health.paused;
    const now = gauge(s, stage);
    if (now.rejected_per_second > 0) return t.topology.rejected(f.rate(now.rejected_per_second));
    if (now.retried_per_second > 0) return t.topology.retried(f.rate(now.retried_per_second));
    const all = now.in_per_second;
    if (now.dropped_per_second > 0 && all > 0) return t.topology.dropped(f.percent(now.dropped_per_second / all));
    return stage.breaker === 'open' ? t.topology.breakerOpen : t.topology.workers(stage.workers * stage.processes);
  };
  return (
    <>
      <Link
        to="/stages/$id"
        params={{ id: stage.id }}
        className={classes.node}
        data-health={health}
        data-testid={`stage-${stage.id}`}
      >
        <span className={classes.head}>
          <strong className={classes.name}>{stage.name}</strong>
          <HealthMark health={health} />
        </span>
        <span className={classes.rate}>
          <span>
            <LiveText className="num" text={(s) => f.rate(gauge(s, stage).out_per_second)} />
            <span className={classes.unit}>{t.overview.perSecond}</span>
          </span>
          <LiveText className={`${classes.fact} num`} text={second} />
        </span>
        <LiveText className={`${classes.fact} num`} text={(s) => t.topology.p95(f.ms(gauge(s, stage).p95_ms))} />
        <Spark values={trail ?? []} colour={hueOf(stage.use)} top={1} className={classes.spark ?? ''} />
      </Link>
      <Link
        to="/dead-letters"
        search={{ pipeline: stage.pipeline, stage: stage.name }}
        className={classes.letters}
        data-some={(letters ?? 0) > 0 || undefined}
      >
        {t.topology.letters(letters === undefined ? t.time.unknown : f.count(letters))}
      </Link>
    </>
  );
});
