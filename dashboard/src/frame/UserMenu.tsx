import { Menu, UnstyledButton, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { ChevronDown, Keyboard, Languages, LogOut, Moon, Sun } from 'lucide-react';
import { useState } from 'react';
import { address, signOut } from '../api/client';
import { useMe } from '../app/session';
import { useI18n } from '../i18n/i18n';
import { forgetRecents } from '../search/recent';
import classes from './frame.module.css';
import { ask } from './keys';

const initials = (name: string): string =>
  name
    .split(/\s+/)
    .filter(Boolean)
    .slice(0, 2)
    .map((word) => word.charAt(0).toUpperCase())
    .join('');

export function UserMenu() {
  const { t, language, setLanguage } = useI18n();
  const me = useMe();
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light', { getInitialValueInEffect: false }) === 'dark';
  const [state, setState] = useState<'idle' | 'leaving' | 'failed'>('idle');
  const name = me.name || me.subject;

  const leave = async () => {
    setState('leaving');
    try {
      const next = await signOut();
      forgetRecents();
      location.assign(next ?? address('auth/sign-in'));
    } catch {
      setState('failed');
    }
  };

  return (
    <Menu position="bottom-end" width={264} shadow="md" withinPortal>
      <Menu.Target>
        <UnstyledButton className={classes.user} aria-label={t.header.userMenu(name)}>
          <span className={classes.avatar} data-initials={initials(name)} aria-hidden />
          <ChevronDown size={14} aria-hidden className={classes.wideOnly} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <div className={classes.who}>
          <strong>{name}</strong>
          <span className="secondary">{me.tenant_id}</span>
          <span className="secondary">
            {t.header.roles}: {me.roles.length > 0 ? me.roles.join(', ') : t.header.noRoles}
          </span>
        </div>
        <Menu.Divider />
        <Menu.Item
          className={classes.narrowOnly}
          leftSection={<Languages size={16} aria-hidden />}
          onClick={() => setLanguage(language === 'es' ? 'en' : 'es')}
        >
          {language === 'es' ? <span lang="en">English</span> : <span lang="es">Español</span>}
        </Menu.Item>
        <Menu.Item
          className={classes.narrowOnly}
          leftSection={dark ? <Sun size={16} aria-hidden /> : <Moon size={16} aria-hidden />}
          onClick={() => setColorScheme(dark ? 'light' : 'dark')}
        >
          {dark ? t.header.themeToLight : t.header.themeToDark}
        </Menu.Item>
        <Menu.Item
          className={classes.wideOnly}
          leftSection={<Keyboard size={16} aria-hidden />}
          onClick={() => ask('shortcuts')}
          rightSection={<kbd className={classes.menuKey}>?</kbd>}
        >
          {t.header.shortcuts}
        </Menu.Item>
        <Menu.Item
          leftSection={<LogOut size={16} aria-hidden />}
          closeMenuOnClick={false}
          disabled={state === 'leaving'}
          onClick={() => void leave()}
        >
          {state === 'leaving' ? t.header.signingOut : t.header.signOut}
        </Menu.Item>
        {state === 'failed' && (
          <p className={classes.menuError} role="alert">
            {t.header.signOutFailed}
          </p>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
