import { Link } from '@tanstack/react-router';
import { MapPinOff } from 'lucide-react';
import { useI18n } from '../i18n/i18n';
import { Empty } from '../ui/Empty';
import { useTitle } from '../ui/useTitle';

export function PageNotFound() {
  const { t } = useI18n();
  useTitle(t.error.notFoundTitle);
  return (
    <Empty icon={<MapPinOff size={28} aria-hidden />} title={t.error.notFoundTitle} level={1}>
      <p>{t.error.notFoundNext}</p>
      <p>
        <Link to="/">{t.error.home}</Link>
      </p>
    </Empty>
  );
}
