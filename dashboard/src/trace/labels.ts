/** A point on a map that wants its name beside it, in pixels. */
export interface Labelled {
  x: number;
  y: number;
  text: string;
}

export interface Label {
  /** Where the text begins, ends or is centred, on its baseline. */
  x: number;
  y: number;
  anchor: 'start' | 'middle' | 'end';
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

const radius = 11;
const gap = 5;
const height = 15;
/** The mean width of a letter at the size of the labels; a guess that is rather too wide. */
const letter = 7;

const overlaps = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/**
 * Where the names of points go so that they cover neither each other nor a point and stay on the map; undefined for a name that
 * has no room. Earlier points choose first.
 */
export function placeLabels(points: readonly Labelled[], width: number, tall: number): (Label | undefined)[] {
  const taken: Box[] = points.map(({ x, y }) => ({
    left: x - radius,
    right: x + radius,
    top: y - radius,
    bottom: y + radius,
  }));
  return points.map(({ x, y, text }, i) => {
    const w = text.length * letter;
    const middle = y - height / 2;
    const sides: [Label, left: number, top: number][] = [
      [{ x: x + radius + gap, y: y + 4, anchor: 'start' }, x + radius + gap, middle],
      [{ x: x - radius - gap, y: y + 4, anchor: 'end' }, x - radius - gap - w, middle],
      [{ x, y: y - radius - gap, anchor: 'middle' }, x - w / 2, y - radius - gap - height],
      [{ x, y: y + radius + gap + 9, anchor: 'middle' }, x - w / 2, y + radius + gap],
    ];
    for (const [label, left, top] of sides) {
      const box = { left, top, right: left + w, bottom: top + height };
      const outside = box.left < 2 || box.right > width - 2 || box.top < 2 || box.bottom > tall - 2;
      if (outside || taken.some((other, j) => j !== i && overlaps(box, other))) continue;
      taken.push(box);
      return label;
    }
    return undefined;
  });
}
