/**
 * What many measurements of the same thing say together.
 *
 * @module
 */

/** The quartiles of several numbers. Half of the numbers are from low to high. */
export interface Spread {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/**
 * Finds the quartiles of numbers, interpolated between neighbours.
 *
 * @param values The numbers, at least one.
 * @returns The quartiles.
 */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const quantile = (share: number) => {
    const place = (sorted.length - 1) * share;
    const below = sorted[Math.floor(place)]!;
    const above = sorted[Math.ceil(place)]!;
    return below + (above - below) * (place % 1);
  };
  return { low: quantile(0.25), median: quantile(0.5), high: quantile(0.75) };
}

/** How many deviations of a normal distribution 95 % are within. */
const DEVIATIONS = 1.96;

/**
 * Tells where the true median of noisy numbers is, with 95 % confidence: between two
 * of the numbers, as each of them is below it as likely as not.
 *
 * @param values The numbers. Fewer than eight say nothing.
 * @returns The least and the greatest that the median may be.
 */
export function confidenceOf(
  values: readonly number[],
): readonly [least: number, greatest: number] {
  const sorted = [...values].sort((a, b) => a - b);
  const { length } = sorted;
  // The number of values below the median has a deviation of half of the root.
  const below = Math.floor((length - DEVIATIONS * Math.sqrt(length)) / 2);
  return [sorted[below - 1] ?? -Infinity, sorted[length - below] ?? Infinity];
}
