import classes from './ui.module.css';

/** A trail that ends where the thing is now. */
export function Logo() {
  return (
    <svg className={classes.logo} viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#0b5cad" />
      <path
        d="M7 24c5 0 5-7 9-8s4-8 9-8"
        fill="none"
        stroke="#fff"
        strokeWidth="2.6"
        strokeLinecap="round"
        strokeDasharray="0.1 4.6"
      />
      <circle cx="25" cy="8" r="3.4" fill="#fff" />
      <circle cx="7" cy="24" r="2" fill="#fff" />
    </svg>
  );
}
