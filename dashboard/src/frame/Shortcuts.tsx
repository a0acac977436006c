import { Kbd, Modal } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Fragment, useEffect, useState } from 'react';
import { useI18n } from '../i18n/i18n';
import classes from './frame.module.css';
import { focusSearch, isTyping, onOpenShortcuts } from './keys';

/** How long after `g` the second key counts. */
const chordTime = 1_200;

/** Listens to the keys that work on every page, and lists them. */
export function Shortcuts() {
  const { t } = useI18n();
  const navigate = useNavigate();
  const [opened, setOpened] = useState(false);

  useEffect(() => onOpenShortcuts(() => setOpened(true)), []);

  useEffect(() => {
    let went: number | undefined;
    const onKey = (event: KeyboardEvent) => {
      if (isTyping(event)) return;
      const chord = went !== undefined && event.timeStamp - went < chordTime;
      went = undefined;
      if (chord && event.key === 'o') void navigate({ to: '/' });
      else if (chord && event.key === 't') void navigate({ to: '/traces' });
      else if (event.key === 'g') went = event.timeStamp;
      else if (event.key === '?') setOpened(true);
      else if (event.key === '/') {
        event.preventDefault();
        if (!focusSearch()) void navigate({ to: '/traces' });
      }
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [navigate]);

  const list: [keys: string[], text: string][] = [
    [['/'], t.shortcuts.search],
    [['g', 'o'], t.shortcuts.overview],
    [['g', 't'], t.shortcuts.traces],
    [['j'], t.shortcuts.nextEvent],
    [['k'], t.shortcuts.previousEvent],
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
        {list.map(([keys, text]) => (
          <div key={text}>
            <dt>{text}</dt>
            <dd>
              {keys.map((key, i) => (
                <Fragment key={key}>
                  {i > 0 && <span className="secondary"> {t.shortcuts.followedBy} </span>}
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
