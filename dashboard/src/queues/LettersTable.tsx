import { Button, Checkbox } from '@mantine/core';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import type { Schema } from '../api/typed';
import { isTyping } from '../frame/keys';
import { useI18n } from '../i18n/i18n';
import { Mark, type Tone } from '../ui/Mark';
import { useNow } from '../ui/useNow';
import classes from './queues.module.css';

type Letter = Schema<'Letter'>;

export const toneOf: Readonly<Record<Letter['state'], Tone>> = {
  open: 'bad',
  redriving: 'move',
  stored: 'ok',
  passed: 'ok',
  dropped: 'idle',
  superseded: 'idle',
  discarded: 'idle',
};

interface LettersTableProps {
  letters: readonly Letter[];
  marked: ReadonlySet<string>;
  onMark: (marked: ReadonlySet<string>) => void;
  shown: string | undefined;
  onShow: (id: string) => void;
  hasMore: boolean;
  onMore: () => void;
  loadingMore: boolean;
}

const rowHeight = 56;

/** The letters, of which only those in sight are drawn. j and k walk, x marks, Enter opens. */
export function LettersTable(props: LettersTableProps) {
  const { letters, marked, onMark, shown, onShow, hasMore, onMore, loadingMore } = props;
  const { t, f } = useI18n();
  const now = useNow(10_000);
  const scroll = useRef<HTMLDivElement>(null);
  const at = useRef(-1);
  const rows = useVirtualizer({
    count: letters.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    initialRect: { width: 1_000, height: 800 },
  });
  const mark = (id: string) => {
    const next = new Set(marked);
    if (!next.delete(id)) next.add(id);
    onMark(next);
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      const step = { j: 1, k: -1 }[event.key];
      if (step !== undefined) {
        at.current = Math.min(Math.max(at.current + step, 0), letters.length - 1);
        rows.scrollToIndex(at.current);
        requestAnimationFrame(() =>
          scroll.current?.querySelector<HTMLElement>(`[data-row="${at.current}"] button`)?.focus(),
        );
      }
      const letter = letters[at.current];
      if (event.key === 'x' && letter) mark(letter.id);
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  });

  const items = rows.getVirtualItems();
  const [before, after] = [items[0]?.start ?? 0, rows.getTotalSize() - (items.at(-1)?.end ?? 0)];
  const allMarked = letters.every((l) => marked.has(l.id));
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard */}
      <section className={classes.scroll} ref={scroll} tabIndex={0} aria-label={t.letters.title} data-testid="letters">
        <table className={classes.letters} aria-rowcount={letters.length + 1}>
          <thead>
            <tr>
              <th scope="col" className={classes.mark}>
                <Checkbox
                  size="xs"
                  aria-label={t.letters.markAll}
                  checked={allMarked}
                  indeterminate={!allMarked && marked.size > 0}
                  onChange={() => onMark(allMarked ? new Set() : new Set(letters.map((l) => l.id)))}
                />
              </th>
              <th scope="col">{t.letters.why}</th>
              <th scope="col" className={classes.middle}>
                {t.letters.facets.stage}
              </th>
              <th scope="col" className={classes.middle}>
                {t.letters.facets.source}
              </th>
              <th scope="col" className={classes.low}>
                {t.letters.facets.eventType}
              </th>
              <th scope="col" className={classes.low}>
                {t.letters.correlation}
              </th>
              <th scope="col" className={classes.number}>
                {t.letters.attempts}
              </th>
              <th scope="col">{t.letters.rejected}</th>
              <th scope="col" className={classes.state}>
                {t.letters.facets.state}
              </th>
            </tr>
          </thead>
          <tbody>
            {before > 0 && (
              <tr aria-hidden>
                <td colSpan={9} style={{ height: before }} />
              </tr>
            )}
            {items.map((item) => {
              const letter = letters[item.index];
              if (!letter) return null;
              return (
                <tr
                  key={letter.id}
                  data-row={item.index}
                  aria-rowindex={item.index + 2}
                  data-shown={letter.id === shown || undefined}
                  data-marked={marked.has(letter.id) || undefined}
                >
                  <td className={classes.mark}>
                    <Checkbox
                      size="xs"
                      aria-label={t.letters.markOne(letter.event_type, letter.correlation_id)}
                      checked={marked.has(letter.id)}
                      onChange={() => mark(letter.id)}
                    />
                  </td>
                  <td className={classes.why}>
                    <button
                      type="button"
                      onClick={() => {
                        at.current = item.index;
                        onShow(letter.id);
                      }}
                    >
                      <code className="mono">{letter.reason}</code>
                      <span className={classes.message} lang="en" title={letter.message}>
                        {letter.message}
                      </span>
                    </button>
                  </td>
                  <td className={classes.middle}>{letter.stage}</td>
                  <td className={classes.middle}>{letter.source || t.time.unknown}</td>
                  <td className={`${classes.low} mono`}>{letter.event_type || t.time.unknown}</td>
                  <td className={`${classes.low} mono`}>{letter.correlation_id || t.time.unknown}</td>
                  <td className={`${classes.number} num`}>{f.count(letter.attempts)}</td>
                  <td className="num">
                    <time dateTime={letter.rejected_at} title={f.here(letter.rejected_at)}>
                      {f.ago(now - Date.parse(letter.rejected_at))}
                    </time>
                  </td>
                  <td className={classes.state}>
                    <Mark tone={toneOf[letter.state]}>{t.letters.states[letter.state]}</Mark>
                  </td>
                </tr>
              );
            })}
            {after > 0 && (
              <tr aria-hidden>
                <td colSpan={9} style={{ height: after }} />
              </tr>
            )}
          </tbody>
        </table>
      </section>
      {hasMore && (
        <Button variant="default" size="xs" onClick={onMore} loading={loadingMore} className={classes.moreLetters}>
          {t.ui.more}
        </Button>
      )}
    </>
  );
}
