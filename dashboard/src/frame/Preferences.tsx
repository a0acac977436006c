import { ActionIcon, SegmentedControl, Tooltip, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { Moon, Sun } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { type Language, languages } from '../i18n/language';

export function LanguageSwitch() {
  const { t, language, setLanguage } = useI18n();
  return (
    <SegmentedControl
      size="xs"
      aria-label={t.header.language}
      data={languages.map((value) => ({ value, label: value.toUpperCase() }))}
      value={language}
      onChange={(value) => setLanguage(value as Language)}
    />
  );
}

export function ThemeSwitch() {
  const { t } = useI18n();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light', { getInitialValueInEffect: false });
  const dark = scheme === 'dark';
  const label = dark ? t.header.themeToLight : t.header.themeToDark;
  return (
    <Tooltip label={label} withArrow openDelay={300}>
      <ActionIcon
        variant="default"
        size={32}
        aria-label={label}
        onClick={() => setColorScheme(dark ? 'light' : 'dark')}
      >
        {dark ? <Sun size={16} aria-hidden /> : <Moon size={16} aria-hidden />}
      </ActionIcon>
    </Tooltip>
  );
}
