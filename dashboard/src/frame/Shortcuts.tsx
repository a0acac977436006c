import { Kbd, Modal } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Fragment, useEffect, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import classes from './frame.module.css';
import { ask, focusSearch, isTyping, onCommand } from './keys';
import { usePages } from './pages';
import { absolute, bounds, shifted, useRange } from './range';

/** How long after the first key of two the second counts. */
const chordTime = 1_200;

/** Listens to the keys that work on every page, and lists them. */
export function Shortcuts() {
  const { t } = useI18n();
  const navigate = useNavigate();
  const pages = usePages();
  const [range, setRange] = useRange();
  const [opened, setOpened] = useState(false);

  useEffect(() => onCommand('shortcuts', () => setOpened(true)), []);

  useEffect(() => {
    let first: { key: string; at: number } | undefined;
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
        event.preventDefault(); // browsers go to their address bar
        ask('palette');
        return;
      }
      if (isTyping(event)) return;
      const before = first && event.timeStamp - first.at < chordTime ? first.key : undefined;
      first = undefined;
      const page = before === 'g' ? pages.find((p) => p.key === event.key) : undefined;
      if (page) void navigate({ to: page.to });
      else if (before === 't' && event.key === 'a') {
        const { from, to } = bounds(range, Date.now());
        setRange(absolute(from, to));
      } else if (event.key === 'g' || event.key === 't') first = { key: event.key, at: event.timeStamp };
      else if (event.key === '?') setOpened(true);
      else if (event.key === 'p') ask('hold');
      else if (event.key === '[') setRange(shifted(range, -1, Date.now()));
      else if (event.key === ']') setRange(shifted(range, 1, Date.now()));
      else if (event.key === '/') {
        event.preventDefault();
        if (!focusSearch()) void navigate({ to: '/traces' });
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate, pages, range, setRange]);

  const list: [keys: string[], text: string, separator?: string][] = [
    [['/'], t.shortcuts.search],
    [['Ctrl', 'K'], t.shortcuts.palette, '+'],
    ...pages.map((page): [string[], string] => [['g', page.key], t.shortcuts.goTo(page.label(t))]),
    [['p'], t.shortcuts.hold],
    [['['], t.shortcuts.earlier],
    [[']'], t.shortcuts.later],
    [['t', 'a'], t.shortcuts.freeze],
    [['j'], t.shortcuts.nextRow],
    [['k'], t.shortcuts.previousRow],
    [['x'], t.shortcuts.select],
    [['?'], t.shortcuts.help],
  ];
  return (
    <Modal
      opened={opened}
      onClose={() => setOpened(false)}
      title={t.shortcuts.title}
      closeButtonProps={{ 'aria-label': t.shortcuts.close }}
      centered
      size="sm"
    >
      <dl className={classes.keys}>
        {list.map(([keys, text, separator = t.shortcuts.followedBy]) => (
          <div key={text}>
            <dt>{text}</dt>
            <dd>
              {keys.map((key, i) => (
                <Fragment key={key}>
                  {i > 0 && <span className="secondary"> {separator} </span>}
                  <Kbd>{key}</Kbd>
                </Fragment>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
