import { Kbd, Modal, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from 'react';
import { allTenantsRole, useRole, useTenant } from '../app/scope';
import { useMe } from '../app/session';
import { ask } from '../frame/keys';
import { usePages } from '../frame/pages';
import { type RelativeRange, relative, relativeRanges, useRange } from '../frame/range';
import { tenantName, useTenantChoice } from '../frame/TenantSwitch';
import { useI18n } from '../i18n/i18n';
import { cleaned, looksLike } from '../search/identify';
import { useRecents } from '../search/recent';
import { type Command, matching } from './commands';
import classes from './palette.module.css';

/** Everything that can be gone to or done, by writing a part of its name. It opens each time that `asked` grows. */
export default function Palette({ asked }: { asked: number }) {
  const { t } = useI18n();
  const [opened, setOpened] = useState(true);
  useEffect(() => {
    if (asked > 0) setOpened(true);
  }, [asked]);
  return (
    <Modal
      opened={opened}
      onClose={() => setOpened(false)}
      withCloseButton={false}
      title={undefined}
      aria-label={t.palette.title}
      padding={0}
      size={600}
      yOffset="12vh"
    >
      <Finder onDone={() => setOpened(false)} />
    </Modal>
  );
}

function Finder({ onDone }: { onDone: () => void }) {
  const { t } = useI18n();
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const commands = useCommands();
  const trace = useTraceCommand(text);
  const found = useMemo(() => [...trace, ...matching(commands, text)], [trace, commands, text]);
  const active = Math.min(at, found.length - 1);

  useEffect(() => {
    list.current?.querySelector(`[data-index="${active}"]`)?.scrollIntoView({ block: 'nearest' });
  }, [active]);

  const run = (command: Command | undefined) => {
    if (!command) return;
    onDone();
    command.run();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setAt((active + step + found.length) % Math.max(found.length, 1));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      run(found[active]);
    }
  };

  return (
    <div className={classes.finder}>
      <div className={classes.field}>
        <Search size={18} aria-hidden />
        <input
          // biome-ignore lint/a11y/noAutofocus: a dialog that is there to be written into
          autoFocus
          data-autofocus
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={found[active] && `${id}-${active}`}
          aria-autocomplete="list"
          aria-label={t.palette.title}
          placeholder={t.palette.placeholder}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
          autoComplete="off"
          spellCheck={false}
          maxLength={256}
        />
        <Kbd>Esc</Kbd>
      </div>
      <div className={classes.list} role="listbox" id={`${id}-list`} aria-label={t.palette.title} ref={list}>
        {found.map((command, i) => (
          // biome-ignore lint/a11y/useFocusableInteractive: as above
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the field's
          <div
            key={command.id}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === active}
            data-index={i}
            className={classes.option}
            onClick={() => run(command)}
            onPointerMove={() => setAt(i)}
          >
            <span className={classes.label}>{command.label}</span>
            {command.keys && <kbd className={classes.keys}>{command.keys}</kbd>}
            <span className={classes.group}>{command.group}</span>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className={classes.none}>{t.palette.none}</p>}
    </div>
  );
}

/** What is written may be an identifier: then its trace is one step away. */
function useTraceCommand(text: string): readonly Command[] {
  const { t } = useI18n();
  const navigate = useNavigate();
  return useMemo(() => {
    const id = cleaned(text);
    const kind = looksLike(text);
    if (!id || !kind || !/\d/.test(id)) return [];
    return [
      {
        id: 'trace',
        label: t.palette.trace(id),
        group: t.search.looksLike[kind],
        run: () => void navigate({ to: '/traces/$id', params: { id } }),
      },
    ];
  }, [text, t, navigate]);
}

function useCommands(): readonly Command[] {
  const { t, language, setLanguage } = useI18n();
  const me = useMe();
  const navigate = useNavigate();
  const pages = usePages();
  const tenant = useTenant();
  const chooseTenant = useTenantChoice();
  const everyTenant = useRole(allTenantsRole);
  const [, setRange] = useRange();
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light', { getInitialValueInEffect: false }) === 'dark';
  const { recents } = useRecents(`${me.tenant_id}/${me.subject}`);

  return [
    ...pages.map(
      (page): Command => ({
        id: `page ${page.to}`,
        label: page.label(t),
        group: t.palette.groups.pages,
        keys: `g ${page.key}`,
        run: () => void navigate({ to: page.to }),
      }),
    ),
    {
      id: 'hold',
      label: t.shortcuts.hold,
      group: t.palette.groups.actions,
      keys: 'p',
      run: () => ask('hold'),
    },
    {
      id: 'theme',
      label: dark ? t.header.themeToLight : t.header.themeToDark,
      group: t.palette.groups.actions,
      run: () => setColorScheme(dark ? 'light' : 'dark'),
    },
    {
      id: 'language',
      label: language === 'es' ? 'English' : 'Español',
      also: t.header.language,
      group: t.palette.groups.actions,
      run: () => setLanguage(language === 'es' ? 'en' : 'es'),
    },
    {
      id: 'shortcuts',
      label: t.header.shortcuts,
      group: t.palette.groups.actions,
      keys: '?',
      run: () => ask('shortcuts'),
    },
    ...(Object.keys(relativeRanges) as RelativeRange[]).map(
      (name): Command => ({
        id: `range ${name}`,
        label: t.range.last[name],
        also: name,
        group: t.range.title,
        run: () => setRange(relative(name)),
      }),
    ),
    ...(everyTenant ? me.tenants : [])
      .filter(({ id }) => id !== tenant)
      .map(
        ({ id }): Command => ({
          id: `tenant ${id}`,
          label: tenantName(me.tenants, id),
          also: id,
          group: t.header.tenant,
          run: () => chooseTenant(id),
        }),
      ),
    ...recents.slice(0, 5).map(
      ({ id }): Command => ({
        id: `recent ${id}`,
        label: id,
        group: t.search.recent,
        run: () => void navigate({ to: '/traces/$id', params: { id } }),
      }),
    ),
  ];
}
