import type { Kind, Trace } from '../api/types';
import { useI18n } from '../i18n/i18n';
import { MilestoneIcon } from './icons';
import { pieceShares } from './milestones';
import { toneOf } from './StatusMark';
import classes from './trace.module.css';

interface PiecesProps {
  pieces: NonNullable<Trace['pieces']>;
  kind?: Kind;
}

/** A consignment that travels in parts: how many of its pieces have come how far. */
export function Pieces({ pieces, kind }: PiecesProps) {
  const { t, f } = useI18n();
  const shares = pieceShares(pieces);
  return (
    <div className={classes.section}>
      <h2 className={classes.sectionTitle}>
        {t.trace.pieces}
        <span className="num secondary">{t.trace.piecesTotal(pieces.total, f.count(pieces.total))}</span>
      </h2>
      <div className={classes.pieceBar} aria-hidden>
        {shares.map((share) => (
          <span
            key={share.milestone ?? 'none'}
            data-tone={share.milestone ? toneOf(share.milestone) : 'none'}
            style={{ flexGrow: share.pieces }}
          />
        ))}
      </div>
      <ul className={classes.pieceList}>
        {shares.map((share) => (
          <li key={share.milestone ?? 'none'} data-tone={share.milestone ? toneOf(share.milestone) : 'none'}>
            <MilestoneIcon milestone={share.milestone ?? 'unknown'} kind={kind} size={15} />
            {share.milestone ? t.trace.milestone[share.milestone] : t.trace.piecesUnaccounted}
            <strong className="num">{t.trace.piecesOf(f.count(share.pieces), f.count(pieces.total))}</strong>
          </li>
        ))}
      </ul>
    </div>
  );
}
